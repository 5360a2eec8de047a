import av
import numpy as np
import pytest

from hourglass.apps.video.hdr import BT2020, HLG, PQ, find_table, hlg_to_light, pq_to_light, to_sdr
from hourglass.apps.video.reader import open_clip

BT709_TO_BT2020 = np.array(  # ITU-R BT.2087
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
SDR = (1, 1)  # BT.709's transfer and primaries


def to_pq(light):
    """BT.2100, table 4: the inverse EOTF, of light in units of 203 cd/m2."""
    y = (light * 203 / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def to_hlg(light):
    """BT.2100, table 5: the inverse OOTF of a screen of 1,000 cd/m2, and the OETF."""
    light = light * 0.203
    luminance = (light @ [0.2627, 0.6780, 0.0593])[..., None]
    scene = light * np.where(luminance > 0, luminance, 1) ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    )


TO_SIGNAL = {PQ: to_pq, HLG: to_hlg}


def picture(width=96, height=64):
    """Colours of all kinds, as a photograph has them: none of them brighter than white."""
    rng = np.random.default_rng(4)
    return np.kron(rng.integers(10, 236, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def to_hdr(pixels, transfer):
    """The signals of SDR pixels that are shown in HDR (BT.2408): 0..1."""
    light = (pixels / 255.0) ** 2.4 @ BT709_TO_BT2020.T
    return TO_SIGNAL[transfer](light)


def write_hdr(path, pixels, transfer):
    signals = np.rint(to_hdr(pixels, transfer) * 65_535).astype(np.uint16)
    with av.open(str(path), "w") as container:
        options = {"x265-params": "crf=4:log-level=none"}
        stream = container.add_stream("libx265", rate=10, options=options)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = BT2020, BT2020, transfer
        frame = av.VideoFrame.from_ndarray(signals, format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace="bt2020", dst_color_range=1)
        frame.colorspace, frame.color_primaries, frame.color_trc = BT2020, BT2020, transfer
        for number in range(2):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_an_hdr_clip_is_shown_as_its_sdr_version(tmp_path, transfer):
    pixels = picture()
    write_hdr(tmp_path / "a.mkv", pixels, transfer)
    with open_clip(tmp_path / "a.mkv") as clip:
        found = next(clip.read_frames()).pixels.astype(int)
    # The middles of the fields: half of the colours are stored, and the borders between are mixed.
    difference = np.abs(found - pixels)[4::8, 4::8]
    assert difference.mean() < 6 and np.percentile(difference, 95) < 16


@pytest.mark.parametrize(("transfer", "to_light"), [(PQ, pq_to_light), (HLG, hlg_to_light)])
def test_light_is_that_of_the_standards(transfer, to_light):
    # BT.2408, table 1: white of 203 cd/m2 has the signal 75 % in HLG, 58 % in PQ.
    white = {PQ: 0.58, HLG: 0.75}[transfer]
    np.testing.assert_allclose(to_light(np.full((1, 3), white)), 1, rtol=0.02)
    light = np.linspace(0, 4, 30)[:, None] * [1.0, 0.7, 0.2]
    np.testing.assert_allclose(to_light(TO_SIGNAL[transfer](light)), light, atol=2e-3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_is_brighter_than_white_is_compressed_and_keeps_its_hue(transfer):
    greys = TO_SIGNAL[transfer](np.array([[0.5] * 3, [1.0] * 3, [2.0] * 3, [4.0] * 3]))
    to_light = {PQ: pq_to_light, HLG: hlg_to_light}[transfer]
    levels = to_sdr(greys, to_light)[:, 0]
    assert levels[0] == pytest.approx(0.5 ** (1 / 2.4), abs=0.005)  # below the knee: as it is
    assert 0.95 < levels[1] < levels[2] < levels[3] <= 1
    orange = TO_SIGNAL[transfer](np.array([[3.0, 1.5, 1.0]]) @ BT709_TO_BT2020.T)
    red, green, blue = to_sdr(orange, to_light)[0] ** 2.4
    np.testing.assert_allclose([green / red, blue / red], [1 / 2, 1 / 3], atol=0.01)


def test_sdr_needs_no_table_and_wide_gamut_alone_is_turned_to_bt709():
    assert find_table(*SDR) is None and find_table(2, 2) is None
    pixels = picture()
    signals = ((pixels / 255.0) ** 2.4 @ BT709_TO_BT2020.T) ** (1 / 2.4)
    found = find_table(1, BT2020).apply(np.rint(signals * 255).astype(np.uint8))
    assert np.abs(found.astype(int) - pixels).mean() < 2

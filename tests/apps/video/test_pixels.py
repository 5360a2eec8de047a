import av
import numpy as np
import pytest

from helpers.clips import corners, quarters, write_clip, write_matrix
from hourglass.apps.video.pixels import Layout
from hourglass.apps.video.reader import open_clip


def read_first(path):
    with open_clip(path) as clip:
        return next(clip.read_frames()).pixels


# (a, b, c, d): what `ffmpeg -i` shows, by `fftools/ffmpeg_filter.c`: the filters that it inserts.
SHOWN = {
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],  # hflip, a front camera
    (1, 0, 0, -1): lambda p: p[::-1],  # vflip
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],  # hflip, vflip
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),  # transpose=clock
    (0, -1, 1, 0): np.rot90,  # transpose=cclock
    (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),  # transpose=cclock_flip
    (0, -1, -1, 0): lambda p: p.swapaxes(0, 1)[::-1, ::-1],  # transpose=clock_flip
}


@pytest.mark.parametrize("matrix", SHOWN)
def test_every_display_matrix_is_shown_as_ffmpeg_does(tmp_path, matrix):
    path = write_clip(tmp_path / "a.mp4", [corners()] * 2)
    write_matrix(path, matrix)
    pixels = read_first(path)
    expected = SHOWN[matrix](corners())
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(quarters(pixels), quarters(expected), atol=12)
    assert pixels.flags.writeable and pixels.flags.c_contiguous


@pytest.mark.parametrize("matrix", [(2, 0, 0, 2), (-2, 0, 0, 1)])
def test_a_matrix_that_scales_only_turns(tmp_path, matrix):
    path = write_clip(tmp_path / "a.mp4", [corners()] * 2)
    write_matrix(path, matrix)
    expected = corners()[:, ::-1] if matrix[0] < 0 else corners()
    np.testing.assert_allclose(quarters(read_first(path)), quarters(expected), atol=12)


def test_the_size_of_a_layout_is_the_shown_one():
    assert Layout(64, 48).size == (64, 48)
    assert Layout(64, 48, is_transposed=True).size == (48, 64)


@pytest.mark.parametrize(("codec", "form"), [("libvpx-vp9", "webm"), ("libvpx", "webm")])
def test_a_webm_whose_alpha_lies_beside_its_colours_is_laid_on_white(tmp_path, codec, form):
    path, pixels = tmp_path / f"a.{form}", np.dstack([corners(), np.full((48, 64), 255, np.uint8)])
    pixels[:, :32, 3] = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"auto-alt-ref": "0", "crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.bit_rate = 2_000_000
        stream.metadata["alpha_mode"] = "1"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="yuva420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = read_first(path).astype(int)
    assert (found[:, :30] > 250).all()
    np.testing.assert_allclose(found[12, 48], corners()[12, 48], atol=20)

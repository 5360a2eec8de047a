import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from helpers.clips import bars, corners, figures, quarters, write_clip, write_tone
from hourglass.apps.video import reader, streams
from hourglass.apps.video.reader import open_clip
from hourglass.utils.errors import UserError
from hourglass.utils.image_headers import MAX_PIXELS

PLAIN = [bars((64, 48), (20 + 4 * k, 24), width=8, height=20) for k in range(6)]


def read(path):
    with open_clip(path) as clip:
        return list(clip.read_frames()), clip


def test_frames_come_in_order_with_their_times(tmp_path):
    found, clip = read(write_clip(tmp_path / "a.mp4", PLAIN))
    assert [frame.number for frame in found] == list(range(6))
    np.testing.assert_allclose([frame.time for frame in found], np.arange(6) / 10)
    for frame, truth in zip(found, PLAIN, strict=True):
        assert frame.pixels.dtype == np.uint8 and frame.pixels.shape == (48, 64, 3)
        assert np.abs(frame.pixels.astype(int) - truth).mean() < 8
    assert (clip.num_frames, clip.rate, clip.losses.describe()) == (6, 10, ())


def test_the_pixels_may_be_drawn_on(tmp_path):
    found, _ = read(write_clip(tmp_path / "a.mp4", PLAIN[:1]))
    assert found[0].pixels.flags.writeable and found[0].pixels.flags.c_contiguous


def test_times_are_the_clips_own_where_the_rate_varies(tmp_path):
    times = [0.0, 0.04, 0.3, 0.34, 1.5, 1.75]
    found, _ = read(write_clip(tmp_path / "a.mkv", PLAIN, times=times))
    np.testing.assert_allclose([frame.time for frame in found], times, atol=2e-3)


def test_times_begin_at_the_clips_beginning(tmp_path):
    # MPEG-TS as FFmpeg writes it begins later than at 0 s.
    found, clip = read(write_clip(tmp_path / "a.ts", PLAIN))
    np.testing.assert_allclose([frame.time for frame in found], np.arange(6) / 10, atol=1e-3)
    assert clip.origin > 0.1


def test_times_that_do_not_rise_go_on_at_the_clips_rate(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", PLAIN)
    own = iter([0.0, 0.1, 0.1, 0.05, None, 2.0])

    class Times:
        """A frame with another time."""

        def __init__(self, frame):
            self.frame, self.time = frame, next(own)

        def __getattr__(self, name):
            return getattr(self.frame, name)

    decode = reader.Clip._decode
    monkeypatch.setattr(reader.Clip, "_decode", lambda clip: map(Times, decode(clip)))
    found, _ = read(path)
    np.testing.assert_allclose([f.time for f in found], [0, 0.1, 0.2, 0.3, 0.4, 2.0])


# Degrees to the left that a player turns the frame by, and what then is where.
TURNS = {0: 0, 90: 1, 180: 2, -90: 3}


@pytest.mark.parametrize("degrees", TURNS)
def test_a_rotated_clip_is_read_upright(tmp_path, degrees):
    found, _ = read(write_clip(tmp_path / "a.mp4", [corners()] * 2, rotation=degrees))
    expected = np.rot90(corners(), TURNS[degrees])
    assert found[0].pixels.shape == expected.shape
    np.testing.assert_allclose(quarters(found[0].pixels), quarters(expected), atol=12)


def test_pixels_that_are_not_square_become_square(tmp_path):
    path = write_clip(
        tmp_path / "a.mp4", [corners()] * 2, context={"sample_aspect_ratio": Fraction(4, 3)}
    )  # fmt: skip
    found, _ = read(path)
    assert found[0].pixels.shape == (48, 85, 3)
    np.testing.assert_allclose(quarters(found[0].pixels), quarters(corners()), atol=12)


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (2, 3)])
def test_odd_sizes_keep_every_pixel(tmp_path, size):
    # Lossless, and every pixel has its own colour.
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    path = write_clip(tmp_path / "a.mkv", [pixels] * 2, codec="ffv1", pixels="bgr0")
    found, _ = read(path)
    np.testing.assert_array_equal(found[0].pixels, pixels)


@pytest.mark.parametrize(
    ("codec", "pixels"), [("ffv1", "yuv420p10le"), ("ffv1", "gray16le"), ("ffv1", "rgb48le")]
)
def test_more_than_8_bits_are_read(tmp_path, codec, pixels):
    found, _ = read(write_clip(tmp_path / "a.mkv", [corners()] * 2, codec=codec, pixels=pixels))
    grey = np.asarray(Image.fromarray(corners()).convert("L"))[..., None]
    truth = np.repeat(grey, 3, axis=2) if pixels.startswith("gray") else corners()
    np.testing.assert_allclose(quarters(found[0].pixels), quarters(truth), atol=20)


def test_what_is_transparent_lies_on_white(tmp_path):
    pixels = np.dstack([corners(), np.full((48, 64), 255, np.uint8)])
    pixels[:, :32, 3] = 0
    pixels[:, 32:48, 3] = 128
    path = write_clip(
        tmp_path / "a.mkv", [pixels] * 2, codec="ffv1", pixels="bgra", source="rgba"
    )  # fmt: skip
    (frame, _), _ = read(path)
    assert (frame.pixels[:, :32] == 255).all()
    np.testing.assert_array_equal(frame.pixels[:, 48:], corners()[:, 48:])
    middle = np.rint((corners()[:, 32:48] * 128.0 + 255 * 127) / 255)
    np.testing.assert_allclose(frame.pixels[:, 32:48], middle, atol=1)


# ITU-T H.273: matrix, and range, 1 of television and 2 of all levels.
COLOURS = {
    "SDTV": ((96, 64), 6, 1, "ITU601"),
    "HDTV": ((96, 64), 1, 1, "ITU709"),
    "all levels": ((96, 64), 6, 2, "ITU601"),
    "unsaid and low": ((96, 64), 2, 0, "ITU601"),
    "unsaid and high": ((1280, 720), 2, 0, "ITU709"),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_what_the_clip_says_or_what_players_guess(tmp_path, name):
    size, matrix, levels, made_by = COLOURS[name]
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = levels
        rgb = av.VideoFrame.from_ndarray(corners(size), format="rgb24")
        full = "JPEG" if levels == 2 else "MPEG"
        frame = rgb.reformat(format="yuv420p", dst_colorspace=made_by, dst_color_range=full)
        frame.colorspace, frame.color_range = matrix, levels
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found, _ = read(path)
    np.testing.assert_allclose(quarters(found[0].pixels), quarters(corners(size)), atol=6)


def test_an_animated_gif_is_a_clip(tmp_path):
    images = [Image.fromarray(frame) for frame in PLAIN]
    path = tmp_path / "a.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 40, 500] * 2)
    found, _ = read(path)
    assert len(found) == 6
    np.testing.assert_allclose([f.time for f in found], [0, 0.1, 0.14, 0.64, 0.74, 0.78], atol=1e-6)
    np.testing.assert_array_equal(found[3].pixels, PLAIN[3])


def test_reading_ends_where_it_is_told_to(tmp_path):
    with open_clip(write_clip(tmp_path / "a.mp4", figures(20))) as clip:
        seen = []
        for frame in clip.read_frames():
            seen.append(frame.number)
            if frame.number == 4:
                clip.stopped.set()
    assert seen == [0, 1, 2, 3, 4]


def test_a_colon_in_a_name_is_no_protocol(tmp_path):
    path = write_clip(tmp_path / "a.mp4", PLAIN).rename(tmp_path / "http:12:30.mp4")
    assert len(read(path)[0]) == 6


@pytest.mark.parametrize("text", ["just words\n" * 50, "#EXTM3U\n#EXTINF:1,\na.mp4\n"])
def test_a_text_is_neither_drawn_nor_a_list_of_files(tmp_path, text):
    write_clip(tmp_path / "a.mp4", PLAIN)
    for name in ("a.txt", "a.m3u8", "a.nfo"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=r"^cannot be decoded: Inv"), open_clip(tmp_path / name):
            pass


def test_sound_alone_is_no_clip(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        write_tone(container, stream, 44_100, 0.0, 0.5)
    with pytest.raises(UserError, match=r"^no video in it"), open_clip(path):
        pass


def test_too_large_a_frame_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_PIXELS", 64 * 48 - 1)
    assert MAX_PIXELS >= 7680 * 4320
    path = write_clip(tmp_path / "a.mp4", PLAIN)
    with pytest.raises(UserError, match=r"^64 x 48 px, more than 3,071 in all"), open_clip(path):
        pass


def test_a_cut_clip_is_read_as_far_as_it_goes(tmp_path):
    path = write_clip(tmp_path / "a.mp4", figures(60), options={"g": "5"}, form="mpegts")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, _ = read(path)
    assert 5 < len(found) < 60
    assert [frame.number for frame in found] == list(range(len(found)))


def test_damaged_packets_are_counted_and_left_out(tmp_path):
    path = tmp_path / "b.mkv"
    whole = write_clip(tmp_path / "a.mkv", figures(40), codec="libvpx-vp9", options={"g": "5"})
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            copy = av.Packet(b"\xff" * 50 if number in (7, 8) else bytes(packet))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            target.mux(copy)
    found, clip = read(path)
    assert 30 < len(found) < 40 and clip.losses.num_damaged >= 2
    assert all(b.time > a.time for a, b in itertools.pairwise(found))


def test_a_camera_that_is_not_there_is_one_line():
    with (
        pytest.raises(UserError, match=r"^no camera to be opened: No such file or directory; "),
        open_clip(Path("/dev/video987")),
    ):
        pass


def test_a_camera_films_from_0_s_on(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.ts", PLAIN)  # begins later
    real = av.open
    monkeypatch.setattr(av, "open", lambda device, format: real(str(path)))
    with open_clip(Path("/dev/video0")) as clip:
        assert clip.num_frames is None
        times = [frame.time for frame in clip.read_frames()]
    np.testing.assert_allclose(times, np.arange(6) / 10, atol=1e-3)

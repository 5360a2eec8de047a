from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from helpers.clips import bars, figures, write_clip, write_tone
from hourglass.apps.video.reader import open_clip

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]


def write_streams(path, sizes, defaults=()):
    """A Matroska file with a video stream of each size, each of its own colour."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = Disposition.default if number in defaults else Disposition(0)
            streams.append(stream)
        for stream, size, colour in zip(streams, sizes, COLOURS, strict=False):
            pixels = np.full((size[1], size[0], 3), colour, np.uint8)
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("sizes", "defaults", "shown"),
    [
        ([(32, 32), (64, 64), (48, 48)], (), 1),  # the largest
        ([(32, 32), (64, 64), (48, 48)], (2,), 2),  # the default one
        ([(32, 32), (64, 64), (48, 48)], (0, 2), 2),  # the largest of the default ones
        ([(32, 32), (32, 32)], (), 0),  # the first of equal ones
    ],
)
def test_of_several_videos_that_is_read_which_players_show(tmp_path, sizes, defaults, shown):
    with open_clip(write_streams(tmp_path / "a.mkv", sizes, defaults)) as clip:
        pixels = next(clip.read_frames()).pixels
    assert pixels.shape[:2] == sizes[shown][::-1]
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), COLOURS[shown], atol=12)


@pytest.mark.parametrize(("default", "chosen"), [(None, 1), (0, 0)])
def test_the_sound_is_the_default_one_else_that_of_most_channels(tmp_path, default, chosen):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        tones = [container.add_stream("aac", rate=44_100, layout=n) for n in ("mono", "stereo")]
        for number, tone in enumerate(tones):
            tone.disposition = Disposition.default if number == default else Disposition(0)
        for pixels in bars((32, 32), (16, 16)), bars((32, 32), (16, 16)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        write_tone(container, tones[0], 44_100, 0.0, 0.2)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate, silence.time_base, silence.pts = 44_100, Fraction(1, 44_100), 0
        container.mux(tones[1].encode(silence))
        container.mux(tones[1].encode(None))
    with open_clip(path) as clip:
        assert clip.sound.codec_context.layout.nb_channels == (1, 2)[chosen]


def combed(size=(320, 240)):
    """Frames whose even and odd rows are of two times: a bar moves to the right."""
    bar = {"width": 40, "height": 120}
    for k in range(6):
        frame = bars(size, (40 + 16 * k, 120), **bar)
        frame[1::2] = bars(size, (48 + 16 * k, 120), **bar)[1::2]
        yield frame


def comb_size(pixels):
    """How far rows differ from the mean of their neighbours, levels."""
    grey = pixels[..., 1].astype(int)
    return np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.mpg", {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme"}}),
        ("a.mkv", {"codec": "libx264", "options": {"x264-params": "interlaced=1"}}),
    ],
)
def test_interlaced_frames_are_made_whole(tmp_path, name, form):
    path = write_clip(tmp_path / name, combed(), rate=25, context={"bit_rate": 4_000_000}, **form)
    assert min(map(comb_size, combed())) > 6
    with open_clip(path) as clip:
        found = list(clip.read_frames())
    assert max(comb_size(frame.pixels) for frame in found) < 1.5
    np.testing.assert_allclose([frame.time for frame in found], np.arange(6) / 25, atol=1e-3)


def test_progressive_frames_are_left_as_they_are(tmp_path):
    path = write_clip(tmp_path / "a.mkv", combed(), codec="ffv1", pixels="bgr0")
    with open_clip(path) as clip:
        for frame, truth in zip(clip.read_frames(), combed(), strict=True):
            np.testing.assert_array_equal(frame.pixels, truth)


@pytest.mark.parametrize("share", [0.55, 0.8, 0.95])
def test_no_whole_frame_before_the_break_is_lost(tmp_path, share):
    path = write_clip(tmp_path / "a.mkv", figures(30), options={"g": "10", "bf": "0"})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with av.open(str(path)) as container:
        num_packets = sum(bool(packet.size) for packet in container.demux(video=0))
    with open_clip(path) as clip:
        assert len(list(clip.read_frames())) >= num_packets - 1

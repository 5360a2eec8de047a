"""Clips of all kinds, made with PyAV, and a backend that sees bars of light in them."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hourglass.data.synthetic.pictures import draw_picture
from hourglass.keypoints import MPII

SIZE = 64  # px of the backend's inputs


class BarFinder:
    """A people finder that sees a person in every white bar on black."""

    size, batch_size = SIZE, 8

    def __init__(self, score=0.9):
        self.score = score
        self.num_inputs = []  # of each call

    def __call__(self, inputs):
        self.num_inputs.append(len(inputs))
        boxes, scores = np.zeros((len(inputs), 50, 4), np.float32), np.zeros((len(inputs), 50))
        for number, picture in enumerate(inputs):
            for k, (left, top, right, bottom) in enumerate(find_bars(picture[..., 1] > 100)):
                boxes[number, k] = left, top, right - left + 1, bottom - top + 1
                scores[number, k] = self.score
        return boxes, scores


class BarBackend:
    """Sees a person in every white bar on black: sixteen joints, four in each of four rows.

    Of several bars it is the one nearest to the input's middle. Where there is none the joints are
    those of the input itself, as sure as a network is without a person.
    """

    size, batch_size, schema = SIZE, 8, MPII

    def __init__(self, score=0.9, unsure=0.6):
        self.score, self.unsure, self.finder = score, unsure, BarFinder()
        self.num_inputs = []  # of each call

    def __call__(self, inputs):
        assert inputs.dtype == np.uint8 and inputs.shape[1:] == (SIZE, SIZE, 3)
        self.num_inputs.append(len(inputs))
        boxes = [find_bar(picture[..., 1] > 100) for picture in inputs]
        around = (2, 2, SIZE * 0.4, SIZE * 0.5)
        keypoints = np.array([bar_joints(*(box or around)) for box in boxes])
        scores = np.array([self.score if box else self.unsure for box in boxes])
        return keypoints, np.repeat(scores[:, None], 16, axis=1)


def find_bar(mask):
    """left, top, right, bottom of the bar nearest to the middle; None without any."""
    middle = (SIZE - 1) / 2
    return min(find_bars(mask), key=lambda bar: abs(bar[0] + bar[2] - 2 * middle), default=None)


def find_bars(mask):
    """left, top, right, bottom of each bar, from the left."""
    columns = np.flatnonzero(np.diff(np.pad(mask.any(axis=0), 1).astype(int)))
    found = []
    for first, end in columns.reshape(-1, 2):
        rows = np.flatnonzero(mask[:, first:end].any(axis=1))
        found.append((first, rows[0], end - 1, rows[-1]))
    return found


def bar_joints(left, top, right, bottom):
    """Sixteen joints all over a box."""
    x, y = np.meshgrid(np.linspace(left, right, 4), np.linspace(top, bottom, 4))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def bars(size, *places, width=24, height=60):
    """Black pixels [H, W, 3] with a white bar about each place."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in places:
        left, top = round(x - width / 2), round(y - height / 2)
        pixels[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = 255
    return pixels


def figures(num_frames, seed=5):
    """Pixels [H, W, 3] of a drawn figure that moves to the right through `num_frames` frames."""
    picture = np.asarray(draw_picture(seed, 0)[0].resize((160, 200)))
    return [np.roll(picture, 3 * k, axis=1) for k in range(num_frames)]


def corners(size=(64, 48)):
    """Pixels whose four quarters are red, green, blue and white, from the top left on, by rows."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = size[0] // 2, size[1] // 2
    pixels[:y, :x], pixels[:y, x:] = (200, 30, 30), (30, 200, 30)
    pixels[y:, :x], pixels[y:, x:] = (30, 30, 200), (200, 200, 200)
    return pixels


def quarters(pixels):
    """The colour in the middle of each quarter, [2, 2, 3]."""
    height, width = pixels.shape[:2]
    rows, columns = (np.array([1, 3]) * length // 4 for length in (height, width))
    return pixels[np.ix_(rows, columns)].astype(int)


def write_clip(
    path, pictures, *, form=None, codec="libx264", rate=10, pixels="yuv420p", rotation=None,
    times=None, sound=None, sound_rate=44_100, sound_start=0.0, seconds=None, context=None,
    source="rgb24", options=None, container_options=None,
):  # fmt: skip
    """Write pixels [H, W, 3] as a clip.

    Args:
        form: FFmpeg's name of the container; None: as the path ends.
        rotation: degrees to the left by which players turn it; MP4. times: of each frame, s.
        sound: the codec of a tone. seconds: of sound; None: as long as the frames.
        context: attributes of the codec's context. source: the form of the pixels given.
    """
    pictures = list(pictures)
    with av.open(str(path), "w", format=form, container_options=container_options) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        for name, value in (context or {}).items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        tone = sound and container.add_stream(sound, rate=sound_rate, layout="mono")
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=source)
            if times is not None:
                frame.pts, frame.time_base = round(1000 * times[k]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone:
            write_tone(container, tone, sound_rate, sound_start, seconds or len(pictures) / rate)
    if rotation is not None:
        turn_track(Path(path), rotation)
    return Path(path)


def turn_track(path, degrees):
    """Write into an MP4 that players turn its first track to the left."""
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    write_matrix(path, (cos, -sin, sin, cos))


def write_matrix(path, matrix):
    """Write the display matrix (a, b, c, d) of an MP4's first track (ISO 14496-12, 8.3.2)."""
    a, b, c, d = (number << 16 for number in matrix)  # 16.16; 2.30 in the last column
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)


def write_tone(container, stream, rate, start, seconds):
    """Encode a tone of 440 Hz."""
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    for first in range(0, len(samples), 1000):
        part = samples[None, first : first + 1000].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(start * rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def read_clip(path):
    """Every frame's pixels [H, W, 3], and its time, s."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for frame in frames], [f.time for f in frames]


def read_sound(path):
    """The bytes of each packet of sound, the codec's name, and the first one's time, s."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
        first = float(packets[0].pts * packets[0].time_base)
        return [bytes(packet) for packet in packets], stream.codec_context.name, first

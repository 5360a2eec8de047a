import io
import os
from pathlib import Path

import av
import pytest
from PIL import Image

from helpers.clips import bars, write_clip
from helpers.pictures import file_of
from helpers.processes import loaded_after
from hourglass.apps.video.formats import is_camera, is_clip

FRAMES = [bars((64, 48), (20 + 4 * k, 24), width=8, height=20) for k in range(6)]
# FFmpeg's name of the container, and a codec that it takes.
CONTAINERS = {
    "mp4": "libx264", "mov": "libx264", "matroska": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4",
    "flv": "flv", "asf": "wmv2", "ogg": "libtheora", "mpeg": "mpeg1video", "mpegts": "libx264",
    "mpeg1video": "mpeg1video", "ivf": "libvpx-vp9", "mxf": "mpeg2video", "3gp": "libx264",
}  # fmt: skip


@pytest.mark.parametrize("form", CONTAINERS)
def test_a_clip_is_told_by_its_form_whatever_its_name(tmp_path, form):
    codec = CONTAINERS[form]
    if codec not in av.codecs_available:
        codec = {"libtheora": "flac"}.get(codec)  # Ogg with sound alone: told to be one, then named
    path = tmp_path / "photo.jpg"
    rate = 25 if form in ("mpeg", "mpeg1video", "mxf") else 10
    write = write_sound if codec == "flac" else write_clip
    write(path, FRAMES, form=form, codec=codec, rate=rate)
    assert is_clip(path)


def write_sound(path, _, form, codec, rate):
    from helpers.clips import write_tone

    with av.open(str(path), "w", format=form) as container:
        write_tone(container, container.add_stream(codec, rate=8000, layout="mono"), 8000, 0, 0.2)


def gif_of(number):
    images = [Image.fromarray(frame) for frame in FRAMES[:number]]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def test_a_gif_is_a_clip_where_it_has_several_frames(tmp_path):
    path = tmp_path / "a.gif"
    for number in (1, 2, 6):
        path.write_bytes(gif_of(number))
        assert is_clip(path) == (number > 1)


def animated(kind):
    images = [Image.fromarray(frame) for frame in FRAMES]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:])
    return buffer.getvalue()


PICTURES = {
    **{kind: lambda kind=kind: file_of(FRAMES[0], kind)
       for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM")},
    "AVIF": lambda: b"\0\0\0\x20ftypavif\0\0\0\0" + bytes(400),
    "HEIC": lambda: b"\0\0\0\x18ftypheic\0\0\0\0" + bytes(400),
    "animated WebP": lambda: animated("WEBP"),
    "animated PNG": lambda: animated("PNG"),
    "cut GIF": lambda: gif_of(6)[:20],
    "text": lambda: b"#EXTM3U\nhttp://localhost/a.ts\n",
    "nothing": lambda: b"",
    "WAV": lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
    "the letter G": lambda: b"G" + bytes(187) + b"A",
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_what_is_no_video_is_no_clip(tmp_path, name):
    path = tmp_path / "clip.mp4"
    path.write_bytes(PICTURES[name]())
    assert not is_clip(path)


def test_what_cannot_be_read_is_no_clip(tmp_path):
    assert not is_clip(tmp_path / "absent.mp4")
    assert not is_clip(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert not is_clip(tmp_path / "pipe")
    assert not is_clip(Path("/dev/zero"))


def test_a_camera_is_its_device_there_or_not():
    assert is_camera(Path("/dev/video0")) and is_clip(Path("/dev/video17"))
    assert not is_camera(Path("video0")) and not is_camera(Path("/dev/video"))


def test_to_tell_needs_no_pyav():
    assert loaded_after("from hourglass.apps.video.formats import is_clip", "av", "numpy") == []


def test_every_container_told_is_one_that_is_read(tmp_path):
    from hourglass.apps.video.reader import open_container

    for form, codec in CONTAINERS.items():
        if codec in av.codecs_available:
            rate = 25 if form in ("mpeg", "mpeg1video", "mxf") else 10
            path = write_clip(tmp_path / "clip", FRAMES, form=form, codec=codec, rate=rate)
            with open_container(path) as container:
                assert len(container.streams.video) == 1

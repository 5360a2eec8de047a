"""`hourglass predict` on clips: all forms, damaged, cut and odd ones; cameras, a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from helpers.clips import bars, figures, read_clip, read_sound, write_clip, write_tone
from helpers.marks import mostly_slow
from helpers.processes import environment
from hourglass.apps.video import writer

FRAMES = figures(8)
ANYBODY = ("--threshold", "0")  # a network of random weights is sure of nothing


def outputs(folder="poses"):
    """The names in the folder."""
    return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).exists() else []


def check_whole(name, num_frames, folder="poses"):
    """Clip and record are whole, and tell of the same frames."""
    pictures, times = read_clip(Path(folder, f"{name}.mp4"))
    header, *lines = map(json.loads, Path(folder, f"{name}.jsonl").read_text().splitlines())
    assert len(pictures) == len(lines) == num_frames
    assert [line["frame"] for line in lines] == list(range(num_frames))
    np.testing.assert_allclose(times, [line["time"] for line in lines], atol=2e-3)
    size = (header["height"], header["width"])
    assert all(0 <= a - b <= 1 for a, b in zip(pictures[0].shape, size, strict=False))
    return header, lines


def save_gif(path):
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(path, "GIF", save_all=True, append_images=images[1:], duration=100)


def odd(frames=FRAMES):
    return [frame[:-1, :-1] for frame in frames]


def see_through(path):
    pixels = [np.dstack([f, np.full(f.shape[:2], 90 + k, np.uint8)]) for k, f in enumerate(FRAMES)]
    form = {"codec": "ffv1", "pixels": "bgra", "source": "rgba", "form": "matroska"}
    write_clip(path, pixels, **form)


def other_sizes(path):
    """A stream whose frames change their size half-way, as those of a call over a network do."""
    parts = []
    for number, scale in enumerate((1, 2)):
        part = path.with_name(f"part{number}")
        frames = [frame[::scale, ::scale] for frame in FRAMES[4 * number :][:4]]
        write_clip(part, frames, form="mpegts", times=[0.4 * number + k / 10 for k in range(4)])
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))


# A file's name, and how it is made.
GOOD = {
    "clip.mp4": lambda path: write_clip(path, FRAMES),
    "clip.mov": lambda path: write_clip(path, FRAMES, sound="aac"),
    "clip.mkv": lambda path: write_clip(path, FRAMES, sound="flac"),
    "clip.webm": lambda path: write_clip(path, FRAMES, codec="libvpx-vp9", sound="libopus",
                                         sound_rate=48_000),
    "clip.avi": lambda path: write_clip(path, FRAMES, codec="mpeg4", sound="libmp3lame"),
    "clip.ts": lambda path: write_clip(path, FRAMES, sound="aac"),
    "clip.gif": save_gif,
    "a clip named.jpg": lambda path: write_clip(path, FRAMES, form="mp4"),
    "no_suffix": lambda path: write_clip(path, FRAMES, form="matroska"),
    "two words.mp4": lambda path: write_clip(path, FRAMES),
    "12:30 ünï写真.mp4": lambda path: write_clip(path, FRAMES),
    "line\nbreak.mp4": lambda path: write_clip(path, FRAMES),
    "-dash.mp4": lambda path: write_clip(path, FRAMES),
    "varying.mkv": lambda path: write_clip(
        path, FRAMES, times=[0, 0.01, 0.5, 0.51, 2, 2.02, 7, 7.5]),
    "rotated.mp4": lambda path: write_clip(path, FRAMES, rotation=90),
    "odd.mkv": lambda path: write_clip(path, odd(), codec="ffv1", pixels="bgr0"),
    "ten_bits.mkv": lambda path: write_clip(path, FRAMES, codec="ffv1", pixels="yuv420p10le"),
    "16_bits.mkv": lambda path: write_clip(path, FRAMES, codec="ffv1", pixels="rgb48le"),
    "grey.mkv": lambda path: write_clip(path, FRAMES, codec="ffv1", pixels="gray"),
    "transparent.mkv": see_through,
    "sizes.ts": other_sizes,
    "black.mp4": lambda path: write_clip(path, [bars((64, 64))] * 8),
    "raw.h264": lambda path: write_clip(path, FRAMES, form="h264"),
    "raw.265": lambda path: write_clip(path, FRAMES, form="hevc", codec="libx265",
                                       options={"x265-params": "log-level=none"}),
    "raw.y4m": lambda path: write_clip(path, FRAMES, form="yuv4mpegpipe", codec="wrapped_avframe"),
    "raw.mjpeg": lambda path: write_clip(path, FRAMES, form="mjpeg", codec="mjpeg",
                                         pixels="yuvj420p"),
    "raw.dv": lambda path: write_clip(path, [np.resize(f, (576, 720, 3)) for f in FRAMES],
                                      form="dv", codec="dvvideo", rate=25),
    "quick.mp4": lambda path: write_clip(path, FRAMES, rate=960),
    "bytes_after_the_end.mp4": lambda path: (
        write_clip(path, FRAMES), path.write_bytes(path.read_bytes() + bytes(999))),
}  # fmt: skip


QUICK = ("clip.webm", "clip.gif", "no_suffix", "varying.mkv", "rotated.mp4", "sizes.ts", "raw.h264")


@pytest.mark.parametrize("name", mostly_slow(GOOD, *QUICK), ids=lambda name: ascii(name)[1:-1])
def test_a_clip_of_any_kind_is_predicted(hourglass, name):
    path = Path("clips", name)
    path.parent.mkdir()
    GOOD[name](path)
    code, (line,), err = hourglass(path, *ANYBODY)
    assert (code, err) == (0, [])
    assert ": poses/" in line and "8 frames, " in line and "damaged" not in line
    assert outputs() == sorted(f"{path.stem}.{kind}" for kind in ("mp4", "jsonl"))
    header, lines = check_whole(path.stem, 8)
    assert header["video"] == f"clips/{name}"
    assert lines[0]["people"][0]["number"] == 1


def test_a_clip_of_one_frame(hourglass):
    write_clip("clip.mp4", FRAMES[:1])
    code, (line,), err = hourglass("clip.mp4", *ANYBODY)
    assert (code, err) == (0, []) and "1 frame, " in line
    check_whole("clip", 1)


@pytest.mark.parametrize("size", [(2, 2), (3, 16), (31, 17)])
def test_the_smallest_clips(hourglass, size):
    write_clip("clip.mkv", [bars(size, (1, 1))] * 3, codec="ffv1", pixels="bgr0")
    assert hourglass("clip.mkv", "--whole")[::2] == (0, [])
    check_whole("clip", 3)


def test_clips_and_photographs_in_one_call(hourglass):
    folder = Path("mixed")
    folder.mkdir()
    write_clip(folder / "a.mp4", FRAMES)
    Image.fromarray(FRAMES[0]).save(folder / "b.jpg")
    Image.fromarray(FRAMES[0]).save(folder / "one_frame.gif")
    Image.fromarray(FRAMES[0]).save(folder / "c.webp")
    save_gif(folder / "d.gif")
    (folder / "notes").write_text("neither\n" * 99)
    write_clip(folder / "a.mkv", FRAMES[:4])
    code, out, err = hourglass(folder, *ANYBODY)
    assert code == 1 and len(out) == 6
    assert err == [
        "error: mixed/notes: cannot be decoded: not a picture",
        "error: 1 of 7 files could not be used",
    ]
    pictures = [f"{name}.{kind}" for name in ("b", "c", "one_frame") for kind in ("json", "png")]
    clips = [f"{name}.{kind}" for name in ("a", "a_2", "d") for kind in ("jsonl", "mp4")]
    assert outputs() == sorted(pictures + clips)
    assert {check_whole("a", 4)[0]["video"], check_whole("a_2", 8)[0]["video"]} == {
        "mixed/a.mkv", "mixed/a.mp4",
    }  # fmt: skip


def cut(name, part, **form):
    def make(path):
        write_clip(path, figures(40), **form)
        data = path.read_bytes()
        path.write_bytes(data[: int(part * len(data))])

    return make


def sound_alone(path):
    with av.open(str(path), "w") as container:
        write_tone(container, container.add_stream("aac", rate=44_100, layout="mono"), 44_100, 0, 1)


def no_frames(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()


def garbage_frames(path):
    write_clip(path, FRAMES, codec="libvpx-vp9")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in places:
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)


def no_such_codec(path):
    write_clip(path, FRAMES)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))


BAD = {
    "empty.mp4": (lambda path: path.write_bytes(b""), "cannot be decoded: empty file"),
    "text.mp4": (lambda path: path.write_text("no clip\n"), "cannot be decoded: not a picture"),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(9999)), "cannot be decoded: not a picture"),
    "header.mp4": (lambda path: path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(12)),
                   "cannot be decoded: Invalid data found"),
    # The index of an MP4 that a camera could not finish is at its end.
    "cut.mp4": (cut("cut.mp4", 0.6), "has no index (its recording broke off); rebuild it with "),
    "cut.mkv": (cut("cut.mkv", 0.01), "cannot be decoded: "),
    "sound.mp4": (sound_alone, "no video in it, or none that can be decoded; name another file"),
    "no_frames.mp4": (no_frames, "no video in it, or none that can be decoded"),
    "garbage.mkv": (garbage_frames, "cannot be decoded: no frame of its video is whole"),
    "codec.mp4": (no_such_codec, "no video in it, or none that can be decoded; name another file"),
    "list.m3u8": (lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nclip.mp4\n"),
                  "cannot be decoded: not a picture"),
    "list.mp4": (lambda path: path.write_text("ffconcat version 1.0\nfile clip.mp4\n"),
                 "cannot be decoded: not a picture"),
    "1x900.mov": (lambda path: write_clip(path, [np.zeros((900, 1, 3), np.uint8)] * 2,
                                          codec="png", pixels="rgb24"),
                  "1 x 900 px is too narrow to show a person; name a --box within it"),
}  # fmt: skip


def test_a_box_of_a_file_beside_the_clip_is_one_line(hourglass):
    write_clip(Path("clip.mp4"), [np.zeros((32, 32, 3), np.uint8)] * 2)
    Path("boxes.csv").write_text("image,x,y,width,height\nclip.mp4,1,2,9,9\nclip.mp4,90,2,9,9\n")
    code, out, (line,) = hourglass("clip.mp4", "--boxes", "boxes.csv")
    assert (code, out) == (1, []) and not list(Path("poses").iterdir())
    assert line.startswith("error: clip.mp4: the box 90,2,9,9 leaves nothing to see of ")


@pytest.mark.parametrize(
    "name", mostly_slow(BAD, "empty.mp4", "cut.mp4", "sound.mp4", "list.mp4", "1x900.mov")
)
def test_a_clip_that_cannot_be_used_is_one_line(hourglass, name):
    make, reason = BAD[name]
    make(Path(name))
    code, out, (line,) = hourglass(name)
    assert (code, out) == (1, [])
    assert line.startswith(f"error: {name}: ") and reason in line
    assert outputs() == []


def test_bad_clips_leave_the_good_ones(hourglass):
    Path("clips").mkdir()
    for name, (make, _) in BAD.items():
        make(Path("clips", name))
    write_clip("clips/good.mp4", FRAMES)
    code, (line,), err = hourglass("clips", "--whole")
    assert code == 1 and line.startswith("clips/good.mp4: ")
    named = {error.split(": ")[1] for error in err[:-1]}
    assert named == {f"clips/{name}" for name in BAD}
    assert err[-1].endswith(f"of {len(BAD) + 1} files could not be used")


def test_a_clip_cut_in_its_middle_is_predicted_as_far_as_it_goes(hourglass):
    cut("clip.ts", 0.5, options={"g": "5"})(Path("clip.ts"))
    code, (line,), err = hourglass("clip.ts", *ANYBODY)
    assert (code, err) == (0, [])
    num_frames = int(line.split(", ")[2].split()[0])
    assert 5 < num_frames < 40
    check_whole("clip", num_frames)


def test_what_was_damaged_is_said(hourglass):
    write_clip("whole.mkv", figures(30), codec="libvpx-vp9", options={"g": "5"})
    with av.open("whole.mkv") as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(Path("whole.mkv").read_bytes())
    place = data.index(b"\xa3", places[12][0]) + 8  # the block after its header
    data[place : place + 40] = b"\xff" * 40
    Path("clip.mkv").write_bytes(data)
    code, (line,), err = hourglass("clip.mkv", *ANYBODY)
    assert (code, err) == (0, [])
    assert " packets left out" in line and "; damaged: " in line


def test_a_clip_that_ends_early_says_so(hourglass):
    """An MP4 whose index comes first promises its frames, a Matroska file its length."""
    frames = figures(40)
    path = write_clip("a.mp4", frames, options={"g": "5", "bf": "0"}, rate=10,
                      container_options={"movflags": "faststart"})  # fmt: skip
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    write_clip("b.mkv", frames, options={"g": "5"}, rate=10)
    Path("b.mkv").write_bytes(Path("b.mkv").read_bytes()[: Path("b.mkv").stat().st_size // 2])
    code, (first, second), err = hourglass("a.mp4", "b.mkv", "--whole")
    assert (code, err) == (0, [])
    assert "; its file promises 40 frames" in first and " 40 frames, " not in first
    assert "; it ends at " in second and second.endswith(" of 4.0 s")


def test_damaged_sound_does_not_cost_the_clip(hourglass):
    write_clip("clip.mkv", FRAMES * 4, sound="ac3", sound_rate=48_000)
    with av.open("clip.mkv") as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(Path("clip.mkv").read_bytes())
    for place, size in places[5:20]:
        data[place + 20 : place + size] = b"\xff" * (size - 20)
    Path("clip.mkv").write_bytes(data)
    assert hourglass("clip.mkv", *ANYBODY)[::2] == (0, [])
    check_whole("clip", 32)
    assert read_sound("poses/clip.mp4")[1] == "aac"


def test_a_clip_without_anybody_says_so(hourglass):
    write_clip("clip.mp4", [bars((64, 64))] * 20)
    code, (line,), err = hourglass("clip.mp4", "--threshold", "1")
    assert (code, err) == (0, [])
    assert "20 frames, no person found: best score " in line
    assert line.endswith(" is below --threshold 1")


def test_an_hour_of_frames_takes_no_more_memory_than_a_minute(hourglass, monkeypatch):
    """The frames are of one picture, 8 px wide, so that an hour of them is quickly read."""
    from hourglass.apps.video import clips
    from hourglass.apps.video.reader import Clip, Frame

    pixels = np.zeros((8, 8, 3), np.uint8)
    under_way, most = 0, 0

    def read_frames(clip):
        nonlocal under_way
        for number in range(3600 * 25 // 20):
            under_way += 1
            yield Frame(number, number / 25 * 20, pixels.copy())

    def draw_people(seen, schema):
        nonlocal most
        most = max(most, under_way - seen[0].number)
        return seen

    monkeypatch.setattr(Clip, "read_frames", read_frames)
    monkeypatch.setattr(clips, "draw_people", draw_people)
    monkeypatch.setattr(clips, "track_people", lambda backend, tracker, frames: (
        (frame, []) for frame in frames))  # fmt: skip
    write_clip("clip.mp4", [pixels] * 2)
    assert hourglass("clip.mp4")[0] == 0
    assert most <= 3 * clips.AHEAD + 1
    with av.open("poses/clip.mp4") as container:
        assert container.duration / 1e6 == pytest.approx(3600, abs=25)


def test_without_pyav_it_is_one_line_before_anything_is_written(hourglass, monkeypatch):
    write_clip("clip.mp4", FRAMES)
    Image.fromarray(FRAMES[0]).save("photo.jpg")
    for name in [name for name in sys.modules if name.startswith("hourglass.apps.video.")]:
        if name.rpartition(".")[2] not in ("command", "forms"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delattr("hourglass.apps.video.clips")
    code, out, err = hourglass("photo.jpg", "clip.mp4")
    assert (code, out) == (1, [])
    assert err == [
        "error: clips and cameras need PyAV: `pip install av`, or name photographs alone"
    ]
    assert outputs() == []
    assert hourglass("photo.jpg", "--whole")[::2] == (0, [])  # which needs none


@pytest.mark.parametrize("number", ["-1", "1.5", "front", "", "/dev/video0", "1000"])
def test_a_bad_camera_is_one_line(hourglass, number):
    code, out, (line,) = hourglass(f"--camera={number}")
    assert (code, out) == (1, [])
    assert line.startswith(f"error: argument --camera: {number!r} is not a camera's number")


def test_a_camera_that_is_not_there_is_one_line(hourglass):
    code, out, (line,) = hourglass("--camera", "987")
    assert (code, out) == (1, [])
    assert line.startswith("error: /dev/video987: no camera to be opened: No such file or directo")
    assert outputs() == []


def test_nothing_named_is_one_line(hourglass):
    code, out, (line,) = hourglass("--no-smoothing")
    assert (code, out) == (1, [])
    assert line == (
        "error: name pictures, clips or a --camera; `hourglass predict --help` says more"
    )


def test_a_box_beside_the_clip_is_one_line(hourglass):
    write_clip("clip.mp4", FRAMES)
    code, out, (line,) = hourglass("clip.mp4", "--box", "900,0,50,50")
    assert (code, out, outputs()) == (1, [], [])
    assert line.startswith("error: clip.mp4: the box 900,0,50,50 leaves nothing to see of ")


def test_clips_are_never_overwritten(hourglass):
    write_clip("clip.mp4", FRAMES)
    before = Path("clip.mp4").read_bytes()
    code, out, err = hourglass("clip.mp4", "--out", ".")
    assert (code, out) == (1, [])
    assert err == ["error: clip.mp4: is a clip; choose another --out"]
    assert Path("clip.mp4").read_bytes() == before


@pytest.mark.parametrize("name", ["clip.mp4", "clip.jsonl"])
def test_what_another_program_wrote_is_never_overwritten(hourglass, name):
    write_clip("clip.avi", FRAMES)
    Path("poses").mkdir()
    Path("poses", name).write_text("another's")
    code, out, err = hourglass("clip.avi")
    assert (code, out) == (1, [])
    assert err == [f"error: poses/{name}: was not written by hourglass; choose another --out"]
    assert Path("poses", name).read_text() == "another's"


@pytest.mark.parametrize("kind", ["mp4", "jsonl"])
def test_a_full_disk_is_one_line_and_leaves_no_half_clip(hourglass, kind):
    write_clip("clip.mp4", figures(40))
    Path("poses").mkdir()
    Path(f"poses/.clip.{kind}.tmp").symlink_to("/dev/full")
    code, out, err = hourglass("clip.mp4", "--whole")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"error: poses/clip.{kind}: No space left on device")
    assert outputs() == []


def test_an_output_folder_that_may_not_be_written_is_one_line(hourglass):
    write_clip("clip.mp4", FRAMES)
    Path("poses").mkdir()
    Path("poses/.clip.mp4.tmp").mkdir()  # as good as no permission, and holds for root too
    code, out, err = hourglass("clip.mp4", "--whole")
    assert (code, out, len(err)) == (1, [], 1)
    assert "poses/" in err[0]
    shutil.rmtree("poses")


def test_an_encoder_that_fails_is_one_line_and_leaves_nothing(hourglass, monkeypatch):
    write_clip("clip.mp4", FRAMES)
    monkeypatch.setattr(writer, "ENCODERS", {"libx264": {"preset": "no such one"}})
    code, out, err = hourglass("clip.mp4", "--whole")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith("error: clip.mp4: its drawn clip cannot be written: ")
    assert outputs() == []


def test_the_same_clip_gives_the_same_bytes(hourglass):
    write_clip("clip.mp4", FRAMES, sound="aac")
    for folder in ("one", "two"):
        assert hourglass("clip.mp4", "--out", folder, *ANYBODY)[0] == 0
    for name in outputs("one"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_half_written(tmp_path, model_file):
    write_clip(tmp_path / "first.mp4", FRAMES)
    write_clip(tmp_path / "second.mp4", figures(60) * 15)
    arguments = ["predict", "first.mp4", "second.mp4", "--whole", "--model", model_file]
    # Where tests run in the background it may be ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from hourglass.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED=""), text=True, bufsize=1,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline().startswith("first.mp4: ")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "interrupted\n")
    assert outputs(tmp_path / "poses") == ["first.jsonl", "first.mp4"]
    check_whole("first", 8, tmp_path / "poses")


def test_a_device_that_is_no_camera_is_one_line(hourglass, monkeypatch):
    from hourglass.apps.video import reader

    real = av.open
    monkeypatch.setattr(
        reader.av, "open", lambda device, format=None, **options: real("/dev/null", format=format)
    )
    code, out, (line,) = hourglass("--camera", "0")
    assert (code, out, outputs()) == (1, [], [])
    assert line.startswith("error: /dev/video0: no camera to be opened: ")
    assert os.path.exists("/dev/null")

"""`hourglass sticker`: damaged files, wrong options, files of others in its way, a full disk."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.clips import bars, write_clip
from helpers.people import StandingBackend
from hourglass.apps.stickers import encoding
from hourglass.cli import models

FIGURE = ("--whole", "--style", "figure")


@pytest.fixture
def make_stickers(run_command, monkeypatch):
    """Run `hourglass sticker` with a backend that sees a person in every white bar."""
    monkeypatch.setattr(models, "open_backend", lambda *_: StandingBackend())
    return lambda *arguments: run_command("sticker", *arguments, "--model", "any.keras")


def save_photo(name="a.png"):
    Image.fromarray(bars((160, 120), (60, 60))).save(name)


def outputs(folder="stickers"):
    return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).exists() else []


@pytest.mark.parametrize("data", [b"", b"text\n", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_a_damaged_photograph_is_one_line_and_the_others_are_made(make_stickers, data):
    save_photo()
    Path("bad.png").write_bytes(data)
    code, out, err = make_stickers("bad.png", "a.png", *FIGURE)
    assert (code, len(out)) == (1, 1)
    assert err[0].startswith("error: bad.png: cannot be decoded: ")
    assert err[1:] == ["error: 1 of 2 files could not be used"]
    assert outputs() == ["a_figure.png", "a_figure.webp"]


def test_a_clip_that_is_cut_off_in_its_header_is_one_line(make_stickers):
    write_clip("a.mp4", [bars((160, 120), (60, 60))] * 3)
    data = Path("a.mp4").read_bytes()
    Path("a.mp4").write_bytes(data[:200])
    code, out, (line,) = make_stickers("a.mp4", *FIGURE)
    assert (code, out) == (1, []) and line.startswith("error: a.mp4: has no index")
    assert outputs() == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--style", "oil"], "argument --style: invalid choice: 'oil'"),
        (["--start", "-1"], "argument --start: '-1' is not a number of seconds, 0 or more"),
        (["--start=nan"], "argument --start: 'nan' is not a number of seconds, 0 or more"),
        (["--start=inf"], "argument --start: 'inf' is not a number of seconds, 0 or more"),
        (["--start="], "argument --start: '' is not a number of seconds, 0 or more"),
        (["--people", "0"], "argument --people: '0' is not a whole number from 1 to 999"),
        (["--box", "1,2,3,4", "--whole"], "--box and --whole exclude each other"),
        (["--people", "2", "--whole"], "--people cannot be combined with --whole"),
        (["--camera", "0"], "unrecognized arguments: --camera"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(make_stickers, options, reason):
    save_photo()
    code, out, (line,) = make_stickers("a.png", *options)
    assert (code, out) == (1, []) and line.startswith(f"error: {reason}")
    assert outputs() == []


def test_no_file_named_is_one_line(make_stickers):
    code, out, (line,) = make_stickers()
    assert (code, out) == (1, [])
    assert line.startswith("error: the following arguments are required: FILE; `hourglass sticker ")


def test_a_missing_file_stops_before_anything_is_written(make_stickers):
    save_photo()
    code, _, err = make_stickers("a.png", "absent.png", *FIGURE)
    assert (code, err, outputs()) == (1, ["error: absent.png: no such file"], [])


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_the_sticker_of_another_program_is_never_overwritten(make_stickers, kind):
    save_photo()
    Path("stickers").mkdir()
    foreign = Path(f"stickers/a_figure.{kind}")
    Image.new("RGB", (9, 9)).save(foreign)
    before = foreign.read_bytes()
    code, out, err = make_stickers("a.png", *FIGURE)
    line = f"error: stickers/a_figure.{kind}: was not written by hourglass; choose another --out"
    assert (code, out, err) == (1, [], [line])
    assert foreign.read_bytes() == before and outputs() == [foreign.name]


def test_a_folder_in_its_place_is_one_line(make_stickers):
    save_photo()
    Path("stickers/a_figure.png").mkdir(parents=True)
    code, _, (line,) = make_stickers("a.png", *FIGURE)
    assert code == 1 and line.startswith(
        "error: stickers/a_figure.png: was not written by hourglass"
    )


def test_a_photograph_is_never_overwritten(make_stickers):
    save_photo("a.png")
    save_photo("a_figure.png")
    before = Path("a_figure.png").read_bytes()
    code, _, err = make_stickers("a.png", "a_figure.png", *FIGURE, "--out", ".")
    assert (code, err) == (1, ["error: a_figure.png: is a photograph; choose another --out"])
    assert Path("a_figure.png").read_bytes() == before


def test_the_stickers_of_a_second_person_are_looked_after_as_well(make_stickers):
    save_photo()
    Path("stickers").mkdir()
    Image.new("RGB", (9, 9)).save("stickers/a_figure_2.png")
    code, _, (line,) = make_stickers("a.png", "--people", "2", "--style", "figure")
    assert code == 1 and "stickers/a_figure_2.png: was not written by hourglass" in line


def test_a_full_disk_is_one_line_and_leaves_no_half_sticker(make_stickers):
    save_photo()
    Path("stickers").mkdir()
    Path("stickers/.a_figure.webp.tmp").symlink_to("/dev/full")
    code, out, (line,) = make_stickers("a.png", *FIGURE)
    assert (code, out) == (1, []) and "a_figure.webp: No space left on device" in line
    assert outputs() == []


def test_an_output_folder_that_is_a_file_is_one_line(make_stickers):
    save_photo()
    Path("taken").write_text("")
    code, _, err = make_stickers("a.png", *FIGURE, "--out", "taken")
    assert (code, len(err)) == (1, 1) and err[0].startswith("error: taken")


def test_without_pyav_clips_are_one_line_before_anything_is_written(make_stickers, monkeypatch):
    write_clip("clip.mp4", [bars((160, 120), (60, 60))] * 2)
    save_photo()
    for name in [name for name in sys.modules if name.startswith("hourglass.apps.video.")]:
        if name != "hourglass.apps.video.formats":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.delattr("hourglass.apps.video.clips", raising=False)
    code, out, err = make_stickers("a.png", "clip.mp4", *FIGURE)
    line = "error: clips and cameras need PyAV: `pip install av`, or name photographs alone"
    assert (code, out, err, outputs()) == (1, [], [line], [])


def test_somebody_outside_of_the_photograph_is_one_line(make_stickers, monkeypatch):
    class Astray(StandingBackend):
        def __call__(self, inputs):
            keypoints, scores = super().__call__(inputs)
            return keypoints + 10_000, scores

    monkeypatch.setattr(models, "open_backend", lambda *_: Astray())
    save_photo()
    code, out, (line,) = make_stickers("a.png", "--whole", "--style", "cutout")
    assert (code, out, outputs()) == (1, [], [])
    assert line == (
        "error: a.png: the body found lies outside of the picture; name a --box within it"
    )


def test_a_sticker_that_fits_at_no_quality_is_one_line(make_stickers, monkeypatch):
    monkeypatch.setattr(encoding, "MAX_WEBP", 100)
    save_photo()
    code, out, (line,) = make_stickers("a.png", *FIGURE)
    assert (code, out, outputs()) == (1, [], [])
    assert line.startswith("error: a.png: its sticker takes more than the 0 kB that messengers ")


def test_joints_all_in_one_place_make_a_sticker(make_stickers, monkeypatch):
    class Point(StandingBackend):
        def __call__(self, inputs):
            keypoints, scores = super().__call__(inputs)
            return np.full_like(keypoints, 30.0), scores * 0

    monkeypatch.setattr(models, "open_backend", lambda *_: Point())
    save_photo()
    code, out, err = make_stickers("a.png", "--whole")
    assert (code, len(out), err) == (0, 1, []) and len(outputs()) == 6

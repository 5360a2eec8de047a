import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.clips import bars, write_clip
from helpers.messengers import check_telegram, check_whatsapp
from helpers.people import StandingBackend
from hourglass.cli import models, sticker

PLACE = (60, 60)


@pytest.fixture
def make_stickers(run_command, monkeypatch):
    """Run `hourglass sticker` with a backend that sees somebody in every white bar."""
    monkeypatch.setattr(models, "open_backend", lambda *_: StandingBackend())
    return lambda *arguments: run_command("sticker", *arguments, "--model", "any.keras")


def save_photo(name, *places):
    Image.fromarray(bars((160, 120), *(places or [PLACE]))).save(name)


def outputs(folder="stickers"):
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_photograph_becomes_its_stickers(make_stickers):
    save_photo("photo.png")
    code, (line,), err = make_stickers("photo.png", "--box", "40,20,40,80", "--style", "figure")
    assert (code, err, outputs()) == (0, [], ["photo_figure.png", "photo_figure.webp"])
    written = r"photo\.png: stickers/photo_figure\.webp, stickers/photo_figure\.png, "
    assert re.fullmatch(written + r"\d+ \+ \d+ kB, 1 person, score 0\.90", line)
    for path in Path("stickers").iterdir():
        (pixels,) = check_telegram(path)
        assert pixels.shape == (512, 512, 4)


def test_styles_are_those_named_in_their_own_order(make_stickers):
    save_photo("a.png")
    options = ("--whole", "--style", "cartoon", "--style", "figure", "--style", "cartoon")
    _, (line,), _ = make_stickers("a.png", *options)
    assert outputs() == [f"a_{s}.{k}" for s in ("cartoon", "figure") for k in ("png", "webp")]
    assert line.index("a_figure.webp") < line.index("a_cartoon.webp")


def test_photographs_and_clips_may_be_mixed(make_stickers):
    save_photo("a.png")
    grown = [bars((160, 120), (50 + 9 * k, 60), height=50 + 4 * k) for k in range(3)]
    write_clip("b.mp4", grown, rate=10)
    code, out, err = make_stickers("a.png", "b.mp4", "--style", "figure")
    assert (code, len(out), err) == (0, 2, [])
    names = ["a_figure.png", "a_figure.webp", "b_figure.webm", "b_figure.webp"]
    assert outputs() == names
    assert len(check_whatsapp("stickers/b_figure.webp")[0]) == 3


def test_without_people_it_says_so_and_writes_nothing(make_stickers):
    save_photo("a.png")
    code, (line,), err = make_stickers("a.png", "--threshold", "1")
    assert (code, err, outputs()) == (0, [], [])
    assert re.fullmatch(
        r"a\.png: no person found: best score \d\.\d\d is below --threshold 1", line
    )


def test_the_same_photograph_gives_the_same_bytes_again(make_stickers):
    save_photo("a.png")
    seen = []
    for _ in range(2):
        assert make_stickers("a.png", "--whole", "--style", "figure")[0] == 0
        seen.append([path.read_bytes() for path in sorted(Path("stickers").iterdir())])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("text", ["0", "1.5", "7200"])
def test_a_start_is_a_number_of_seconds(text):
    assert sticker.parse_start(text) == pytest.approx(np.float64(text))

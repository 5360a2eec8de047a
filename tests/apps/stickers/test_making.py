import functools

import numpy as np
import pytest
from PIL import Image

from helpers.clips import bars
from helpers.messengers import check_telegram, check_whatsapp
from hourglass.apps.stickers import making
from hourglass.apps.stickers.making import STYLES, name_sticker, write_stickers
from hourglass.inference.runner import InferenceConfig, map_photos
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

BOX = InferenceConfig("bbox", ((40, 20, 40, 80),), threshold=None)


def make(backend, tmp_path, config, styles, *places):
    path = tmp_path / "a.png"
    Image.fromarray(bars((240, 120), *places)).save(path)
    files = [(path, tmp_path / "out" / "a")]
    write = functools.partial(write_stickers, styles=styles, schema=MPII)
    (result,) = map_photos(write, backend, files, config)
    return result


def test_a_photograph_becomes_stickers_that_both_messengers_take(backend, tmp_path):
    written = make(backend, tmp_path, BOX, STYLES, (60, 60))
    names = [f"a_{style}.{kind}" for style in STYLES for kind in ("webp", "png")]
    assert [path.name for path in written.files] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)
    assert written.sizes == [path.stat().st_size for path in written.files]
    for webp, png in zip(written.files[::2], written.files[1::2], strict=True):
        ((frame,), _), (picture,) = check_whatsapp(webp), check_telegram(png)
        check_telegram(webp)
        for pixels in (frame, picture):
            assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3] == 0).all()
            assert (pixels[..., 3] == 255).mean() > 0.08
        assert (frame[..., 3] > 127).mean() == pytest.approx((picture[..., 3] > 127).mean())


def test_the_cutout_shows_the_photograph(backend, tmp_path):
    written = make(backend, tmp_path, BOX, ["cutout"], (60, 60))
    pixels = np.asarray(Image.open(written.files[1]))
    # A white bar, and nothing of the black around it but what an edge holds.
    body = pixels[200:300, 250:262]
    assert (body[..., 3] == 255).all() and (body[..., :3] > 200).all()


def test_each_of_several_people_has_stickers_the_surest_first(backend, tmp_path):
    config = InferenceConfig(num_people=2, threshold=0.3)
    written = make(backend, tmp_path, config, ["figure"], (50, 60), (190, 60))
    names = [f"a_figure{ending}.{kind}" for ending in ("", "_2") for kind in ("webp", "png")]
    assert [path.name for path in written.files] == names
    assert len(written.scores) == 2 and written.scores == sorted(written.scores, reverse=True)


def test_without_people_nothing_is_written(backend, tmp_path):
    config = InferenceConfig(threshold=0.99)
    written = make(backend, tmp_path, config, STYLES)
    assert (written.files, written.sizes, written.scores) == ([], [], [])
    assert written.best < 0.99 and not (tmp_path / "out").exists()


def test_where_one_sticker_fails_none_of_the_photograph_is_written(backend, tmp_path, monkeypatch):
    def refuse(sticker):
        raise UserError("does not fit")

    monkeypatch.setattr(making, "encode_png", refuse)
    result = make(backend, tmp_path, BOX, ["figure"], (60, 60))
    assert isinstance(result, UserError) and not (tmp_path / "out").exists()


def test_names_of_people_styles_and_photographs_never_meet(tmp_path):
    targets = ("a", "a_figure", "a_figure_2", "a_2")
    names = [
        name_sticker(tmp_path / target, style, number, "png")
        for target in targets for style in STYLES for number in (1, 2, 3)
    ]  # fmt: skip
    assert len(set(names)) == len(names)

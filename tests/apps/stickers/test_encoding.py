import io

import numpy as np
import pytest
from PIL import Image

from helpers.messengers import check_telegram, check_whatsapp
from hourglass.apps.stickers import encoding
from hourglass.apps.stickers.encoding import (
    MAX_PNG,
    MAX_WEBP,
    encode_moving_webp,
    encode_png,
    encode_webp,
    find_best_quality,
    is_sticker,
)
from hourglass.utils.errors import UserError


def make_sticker(detail, seed=1):
    """A disc of noise, levels +- `detail`, transparent around it."""
    noise = np.random.default_rng(seed).uniform(-detail, detail, (512, 512, 3))
    y, x = np.mgrid[:512, :512]
    alpha = np.where(np.hypot(x - 256, y - 256) < 240, 255, 0)
    pixels = np.clip(128 + noise, 0, 255)
    return Image.fromarray(np.dstack([pixels, alpha]).astype(np.uint8))


def read(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("encode", [encode_png, encode_webp])
def test_what_fits_loses_nothing(encode):
    sticker = make_sticker(0)
    decoded, wanted = read(encode(sticker)), np.asarray(sticker)
    np.testing.assert_array_equal(decoded[..., 3], wanted[..., 3])
    seen = wanted[..., 3] > 0
    np.testing.assert_array_equal(decoded[seen], wanted[seen])


@pytest.mark.parametrize(("encode", "limit"), [(encode_png, MAX_PNG), (encode_webp, MAX_WEBP)])
def test_what_does_not_fit_loses_quality_until_it_does(encode, limit, tmp_path):
    sticker = make_sticker(120)
    data = encode(sticker)
    assert limit / 5 < len(data) <= limit
    alpha = read(data)[..., 3]
    assert (alpha[0, 0], alpha[256, 256]) == (0, 255)
    path = tmp_path / f"a.{'png' if encode is encode_png else 'webp'}"
    path.write_bytes(data)
    check_telegram(path)
    assert is_sticker(path)


def test_frames_and_their_durations_come_back(tmp_path):
    frames = []
    for k in range(6):
        pixels = np.zeros((512, 512, 4), np.uint8)
        pixels[100:300, 50 * k : 50 * k + 100] = (200, 40, 40, 255)
        frames.append(Image.fromarray(pixels))
    path = tmp_path / "a.webp"
    path.write_bytes(encode_moving_webp(frames, [67, 66, 67, 200, 67, 67]))
    decoded, durations = check_whatsapp(path)
    assert durations == [67, 66, 67, 200, 67, 67] and is_sticker(path)
    for frame, wanted in zip(decoded, frames, strict=True):
        np.testing.assert_array_equal(frame[..., 3], np.asarray(wanted)[..., 3])


def test_what_fits_at_no_quality_is_one_line(monkeypatch):
    monkeypatch.setattr(encoding, "MAX_WEBP", 1000)
    with pytest.raises(UserError, match=r"more than the 1 kB that messengers allow.*--style"):
        encode_webp(make_sticker(120))


@pytest.mark.parametrize("limit", range(0, 12))
def test_the_best_setting_that_fits_is_found(limit):
    tried = []

    def encode(size):
        tried.append(size)
        return bytes(size)

    sizes = (10, 8, 7, 5, 3, 2)
    fitting = [size for size in sizes if size <= limit]
    if not fitting:
        with pytest.raises(UserError):
            find_best_quality(encode, sizes, limit)
    else:
        assert len(find_best_quality(encode, sizes, limit)) == fitting[0]
    assert len(tried) <= 4 and (tried == [10]) == (limit >= 10)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\x89PNG" + bytes(600_000)])
def test_the_files_of_others_are_none_of_ours(data, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert not is_sticker(path)
    path.write_bytes(bytes(600_000) + encoding.MARK.encode())
    assert not is_sticker(path)


@pytest.mark.parametrize("difference", [0, 1])
def test_frames_that_become_one_are_no_moving_sticker(difference):
    frames = [Image.new("RGBA", (512, 512), (90 + k * difference, 90, 90, 255)) for k in range(3)]
    with pytest.raises(UserError, match="shows no person who moves; name a photograph"):
        encode_moving_webp(frames, [67] * 3)

import io

import av
import numpy as np
import pytest
from PIL import Image

from helpers.messengers import check_telegram_video
from hourglass.apps.video import writer
from hourglass.apps.video.writer import encode_webm
from hourglass.utils.errors import UserError


def squares(number):
    """Red squares that go to the right, transparent around them."""
    for k in range(number):
        pixels = np.zeros((512, 512, 4), np.uint8)
        pixels[100:300, 20 * k : 20 * k + 120] = (220, 30, 30, 255)
        yield Image.fromarray(pixels)


def test_pictures_come_back_with_their_colours_and_transparency():
    pictures = list(squares(6))
    data = encode_webm(pictures, [k / 15 for k in range(6)], 15, 20, "a comment of ours")
    frames = check_telegram_video(data)
    assert len(frames) == 6 and b"a comment of ours" in data
    for k, frame in enumerate(frames):
        middle = frame[200, 20 * k + 60].astype(int)
        np.testing.assert_allclose(middle, (220, 30, 30, 255), atol=8)
        assert frame[[0, 400], [0, 400], 3].max() < 8


def test_the_last_picture_lasts_as_long_as_the_others():
    data = encode_webm(list(squares(6)), [k / 15 for k in range(6)], 15, 20, "")
    with av.open(io.BytesIO(data)) as container:
        assert container.duration / 1e6 == pytest.approx(6 / 15, abs=2e-3)


def test_the_same_pictures_give_the_same_bytes():
    pictures = list(squares(3))
    files = {encode_webm(pictures, [0, 0.1, 0.2], 15, 30, "") for _ in range(3)}
    assert len(files) == 1


def test_less_quality_is_fewer_bytes():
    noise = np.random.default_rng(1).integers(0, 256, (3, 512, 512, 4), np.uint8)
    pictures = [Image.fromarray(pixels) for pixels in noise]
    sizes = [len(encode_webm(pictures, [0, 0.1, 0.2], 15, crf, "")) for crf in (20, 60)]
    assert sizes[1] < 0.7 * sizes[0]


def test_without_the_codec_it_is_one_line(monkeypatch):
    monkeypatch.setattr(writer.av, "codecs_available", {"libx264"})
    with pytest.raises(UserError, match="built without libvpx-vp9; `pip install av` has it"):
        encode_webm(list(squares(1)), [0], 15, 30, "")

"""Whether WhatsApp and Telegram would take a sticker, by their published rules.

https://github.com/WhatsApp/stickers: Android/README.md, StickerPackValidator.java;
https://core.telegram.org/stickers. A KB is 1000 bytes here, so that either reading holds.
"""

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image


def check_whatsapp(path):
    """A WebP, still or moving; gives its frames, RGBA."""
    data = Path(path).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("WEBP", (512, 512))
        num_frames = image.n_frames
        assert len(data) < (500_000 if num_frames > 1 else 100_000)
        frames, durations = [], []
        for number in range(num_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGBA")))
            durations.append(image.info.get("duration"))
    if num_frames > 1:
        assert min(durations) >= 8 and sum(durations) <= 10_000
    return frames, durations


def check_telegram(path):
    """A PNG or WebP of one picture, or a WebM; gives its frames, RGBA."""
    data = Path(path).read_bytes()
    if Path(path).suffix == ".webm":
        return check_telegram_video(data)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) == 1
        assert max(image.size) == 512 and len(data) <= 512_000
        return [np.asarray(image.convert("RGBA"))]


def check_telegram_video(data):
    """VP9 in WebM, with alpha; gives its frames, RGBA."""
    assert len(data) <= 256_000
    with av.open(io.BytesIO(data)) as container:
        assert "webm" in container.format.name and not container.streams.audio
        (stream,) = container.streams.video
        assert stream.codec_context.name in ("vp9", "libvpx-vp9")
        assert max(stream.width, stream.height) == 512
        assert container.duration / av.time_base <= 3.0
        assert stream.average_rate <= 30
        # FFmpeg's own decoder of VP9 passes alpha over.
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
        frames = [frame for packet in packets for frame in decoder.decode(packet)]
        frames += decoder.decode(None)
        return [frame.to_ndarray(format="rgba") for frame in frames]

"""Runs over photographs that are quickly predicted: pictures with a dot, and plans for them."""

from pathlib import Path

import numpy as np
from PIL import Image

from helpers.fake_backends import BrightestBackend
from hourglass.apps.batch.plan import BatchPlan, begin_run, split_chunks
from hourglass.inference.runner import InferenceConfig
from hourglass.keypoints import MPII


def save_dot(path, dot=(20, 10), light=255):
    """A black picture of 60 x 40 px with a dot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[dot[1] : dot[1] + 4, dot[0] : dot[0] + 4] = light
    Image.fromarray(pixels).save(path, "PNG")
    return path


def save_dots(folder, number):
    """So many pictures, each with its dot elsewhere, and every fifth too dark for a person."""
    return [
        save_dot(folder / f"{k:03}.png", (k % 50, k // 50), 20 if k % 5 == 4 else 255 - k % 7)
        for k in range(number)
    ]


def fake_network(monkeypatch, chunk_size):
    """Let `hourglass predict --records` use a fake net.keras, in chunks of so many pictures."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("hourglass.apps.batch.plan.CHUNK_SIZE", chunk_size)
    monkeypatch.setattr("hourglass.cli.models.open_backend", lambda *_: BrightestBackend())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no pyarrow
    Path("net.keras").write_text("a network")
    Path("people.onnx").write_text("a detector")
    monkeypatch.setattr("hourglass.cli.batch.shipped_people_detector", lambda: Path("people.onnx"))


def make_plan(base, out="out", config=None, draw=False, network="abc"):
    config = config or InferenceConfig("whole", threshold=0.5)
    (base / out).mkdir(exist_ok=True)
    return BatchPlan(base / out, base, network, MPII, flip_test=True, config=config, draw=draw)


def begin_chunks(plan, paths):
    """Begin a run; its chunks and a folder for what is not whole yet."""
    scratch = plan.folder / ".unfinished"
    scratch.mkdir(exist_ok=True)
    begin_run(plan, iter(paths), scratch)
    return split_chunks(plan), scratch

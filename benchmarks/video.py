"""A clip through `hourglass predict`: frames a second, whole and by part; jitter; sound.

usage: python benchmarks/video.py [--clip CLIP] [--model FILE] [--still PHOTO] [--before DIR]
                                  [--frames 300]

Without --clip a drawn figure goes to and fro, with a tone; give the demo's network for it. Jitter
is measured on the frame with the surest person, or on PHOTO, which rests, under grain. DIR is
another checkout of this project, whose `draw_pose` is timed beside ours: alone, and within the
simplest program that one would write, by Keras and with each frame's steps one after the other.
FILE is a `.keras` file; what was exported beside it is used, as the command does.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from measure import describe_load, describe_machine
from PIL import Image, ImageOps

from hourglass.apps.video.clips import predict_clip, track_people
from hourglass.apps.video.reader import open_clip
from hourglass.apps.video.tracker import Tracker
from hourglass.apps.video.writer import open_writer
from hourglass.data.synthetic.pictures import draw_picture
from hourglass.inference.backends import KerasBackend, load_estimator, open_backend
from hourglass.inference.person_search import whole_picture_crop
from hourglass.inference.runner import InferenceConfig
from hourglass.keypoints import MPII
from hourglass.shipped import shipped_network
from hourglass.utils.images import cut_crop
from hourglass.utils.transforms import apply_transform, crop_transform, invert_transform
from hourglass.visualization import drawing

RATE = 30  # frames/s of the drawn clips
SIZE = (512, 720)


def main():
    options = read_options()
    backend = open_backend(options.model, flip_test=True)
    print(f"{describe_machine()}; {describe_load()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figure = np.asarray(draw_picture(5, 0)[0].resize(SIZE, Image.Resampling.LANCZOS))
        clip = options.clip or draw_clip(folder / "moving.mp4", figure, options.frames, swing=80)
        predict_clip(
            backend, clip, folder / "warm", InferenceConfig()
        )  # code and network are loaded
        surest = report_parts(backend, clip, folder, options)
        report_whole(backend, clip, folder)
        if options.before:
            report_simple(clip, folder, options)
        if options.still:
            surest = np.asarray(ImageOps.contain(Image.open(options.still).convert("RGB"), SIZE))
        still = draw_clip(folder / "still.mp4", surest, options.frames, swing=0)
        report_jitter(backend, still, folder)


def read_options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--clip", type=Path, metavar="CLIP")
    options.add_argument("--model", type=Path, metavar="FILE", default=shipped_network())
    options.add_argument("--still", type=Path, metavar="PHOTO")
    options.add_argument("--before", type=Path, metavar="DIR")
    options.add_argument("--frames", type=int, default=300)
    return options.parse_args()


def draw_clip(path, pixels, num_frames, swing):
    """A picture that swings so many px to either side in 2 s, grain on it, and a tone."""
    height, width = (side - side % 2 for side in pixels.shape[:2])
    picture = pixels[:height, :width].astype(int)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "18"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for number in range(num_frames):
            shift = round(swing * np.sin(np.pi * number / RATE))
            pixels = np.roll(picture, shift, axis=1) + rng.integers(-6, 7, picture.shape)
            frame = av.VideoFrame.from_ndarray(np.clip(pixels, 0, 255).astype(np.uint8))
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for first in range(0, num_frames * 48_000 // RATE, 1024):
            wave = 0.2 * np.sin(2 * np.pi * 440 * np.arange(first, first + 1024) / 48_000)
            frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, first
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def report_parts(backend, clip, folder, options):
    """Frames a second of each part alone, one after the other: the pixels of the surest person."""
    with open_clip(clip) as opened:
        seconds, frames = timed(
            lambda: list(itertools.islice(opened.read_frames(), options.frames))
        )
        print_rate("read", len(frames), seconds)
        size = frames[0].pixels.shape[1::-1]
        seconds, seen = timed(
            lambda: list(track_people(backend, Tracker(InferenceConfig(), size), iter(frames)))
        )
        print_rate("track", len(frames), seconds)
        surest = max(seen, key=best_score)[0].pixels.copy()
        report_drawing("draw skeletons", drawing, seen)
        if options.before:
            report_drawing("draw skeletons, before", load_drawing(options.before), seen)
        opened.sound = None
        files = folder / "p.mp4", folder / "p.jsonl"
        with open_writer(*files, opened, size, backend.schema) as writer:
            seconds, _ = timed(lambda: [writer.write(*pair) for pair in seen])
        print_rate("write", len(frames), seconds)
    return surest


def best_score(pair):
    """The best score of a frame's people."""
    _, people = pair
    return max((person.pose.score for person in people), default=0.0)


def report_drawing(what, module, seen):
    """Frames a second of skeletons alone."""

    def draw():
        for frame, people in seen:
            for person in people:
                module.paint_pose(frame.pixels.copy(), person.pose.keypoints, MPII)

    print_rate(what, len(seen), timed(draw)[0])


def load_drawing(checkout):
    """The module that draws skeletons in another checkout."""
    path = checkout / "src/hourglass/utils/drawing.py"
    spec = importlib.util.spec_from_file_location("drawing_before", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report_whole(backend, clip, folder):
    """Frames a second of it all, parts side by side; and whether the sound is the same."""
    predict = functools.partial(predict_clip, backend, clip, folder / "whole", InferenceConfig())
    seconds, written = timed(predict)
    print_rate("all at once", written.num_frames, seconds)
    sounds = [read_sound(path) for path in (clip, written.video)]
    print(f"packets of sound: {len(sounds[0])}, the same bytes: {sounds[0] == sounds[1]}")


def report_simple(clip, folder, options):
    """Frames a second where each is read, run by Keras, drawn and written before the next."""
    backend = KerasBackend(load_estimator(options.model, flip_test=True))
    backend(np.zeros((1, backend.size, backend.size, 3), np.uint8))  # traced
    draw_pose = load_drawing(options.before).draw_pose
    with av.open(str(clip)) as source, av.open(str(folder / "simple.mp4"), "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream("libx264", rate=RATE)
        stream.width, stream.height = video.width, video.height
        crop = whole_picture_crop((video.width, video.height))
        to_picture = invert_transform(crop_transform(crop, backend.size))

        def write(frame):
            picture = frame.to_image()
            keypoints, _ = backend(np.asarray(cut_crop(picture, 1, crop, backend.size))[None])
            drawn = draw_pose(picture, apply_transform(to_picture, keypoints[0]), MPII)
            target.mux(stream.encode(av.VideoFrame.from_image(drawn)))

        frames = itertools.islice(source.decode(video), options.frames)
        seconds, written = timed(lambda: [write(frame) for frame in frames])
        target.mux(stream.encode(None))
    print_rate("one after the other, before", len(written), seconds)


def read_sound(path):
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def report_jitter(backend, clip, folder):
    """The joints' steps from frame to frame of a person at rest, px: median, root mean square."""
    steps = []
    for is_smooth in (False, True):
        written = predict_clip(backend, clip, folder / "still", InferenceConfig(), is_smooth)
        joints = read_joints(written.record)  # (frames, 16, 2)
        steps.append(np.linalg.norm(np.diff(joints[len(joints) // 5 :], axis=0), axis=-1))
    for what, step in zip(("raw", "smoothed"), steps, strict=True):
        rms = np.sqrt(np.square(step).mean())
        print(f"jitter of a still person, {what}: {np.median(step):.3f} px, {rms:.3f} px")


def read_joints(record):
    """The joints [frames, 16, 2] of the person who was found first."""
    lines = [json.loads(line) for line in record.read_text().splitlines()[1:]]
    people = [
        person["joints"].values()
        for line in lines for person in line["people"] if person["number"] == 1
    ]  # fmt: skip
    return np.array([[(joint["x"], joint["y"]) for joint in joints] for joints in people])


def timed(function):
    """Seconds, and what the function gives."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def print_rate(what, number, seconds):
    print(f"{what}: {number / seconds:.1f} frames/s, {1000 * seconds / number:.1f} ms a frame")


if __name__ == "__main__":
    main()

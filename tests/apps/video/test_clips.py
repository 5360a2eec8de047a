import json
import signal
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.clips import BarBackend, bars, figures, read_clip, write_clip
from hourglass.apps.video import clips, writer
from hourglass.apps.video.clips import AHEAD, draw_people, predict_clip
from hourglass.apps.video.losses import Losses
from hourglass.apps.video.reader import Clip, Frame
from hourglass.apps.video.tracker import TrackedPerson
from hourglass.apps.video.writer import ENCODERS, FRAME_COORDINATES
from hourglass.inference.outputs import describe_person
from hourglass.inference.person_search import Pose
from hourglass.inference.runner import InferenceConfig
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

SIZE = (160, 120)
WHOLE = InferenceConfig("whole", threshold=None)


def walk(num_frames, size=SIZE, step=2):
    return [bars(size, (40 + step * k, 60), width=16, height=50) for k in range(num_frames)]


def predict(tmp_path, pictures, config=None, backend=None, is_smooth=False, name="a.mp4", **form):
    path = write_clip(tmp_path / name, pictures, **form)
    return predict_clip(
        backend or BarBackend(),
        path,
        tmp_path / "out" / "a",
        config or InferenceConfig(num_people=1),
        is_smooth,
    )


def read_record(written):
    header, *lines = map(json.loads, written.record.read_text().splitlines())
    return header, lines


def test_a_clip_becomes_a_drawn_one_and_a_line_a_frame(tmp_path):
    written = predict(tmp_path, walk(30))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jsonl", "a.mp4"]
    assert (written.num_frames, written.num_seen, written.num_people) == (30, 30, 1)
    assert written.best > 0.5 and written.notes == ()
    _, lines = read_record(written)
    assert [line["frame"] for line in lines] == list(range(30))
    np.testing.assert_allclose([line["time"] for line in lines], np.arange(30) / 10)
    for k, line in enumerate(lines):
        (person,) = line["people"]
        assert person["number"] == 1
        assert (
            list(person) == ["number", "score", "joints"]
            and tuple(person["joints"]) == MPII.keypoints
        )
        x = np.mean([joint["x"] for joint in person["joints"].values()])
        assert x == pytest.approx(40 + 2 * k - 0.5, abs=1.5)


def test_the_header_says_what_holds_for_all_frames(tmp_path):
    header, _ = read_record(predict(tmp_path, walk(3), is_smooth=True))
    assert header["video"].endswith("a.mp4")
    assert header["coordinates"] == FRAME_COORDINATES
    assert (header["width"], header["height"]) == SIZE
    assert tuple(header["joints"]) == MPII.keypoints
    assert (header["mode"], header["bboxes"]) == ("search", [])
    assert header["smoothing"]["filter"] == "One Euro"
    header, _ = read_record(
        predict(tmp_path, walk(3), InferenceConfig("bbox", ((30, 30, 20, 60),)))
    )
    assert (header["mode"], header["bboxes"], header["smoothing"]) == (
        "bbox",
        [[30, 30, 20, 60]],
        None,
    )


def test_a_person_is_written_as_of_a_photograph(tmp_path):
    written = predict(tmp_path, walk(1))
    person = read_record(written)[1][0]["people"][0]
    of_photograph = describe_person(Pose(np.zeros((16, 2)), np.ones(16), (0, 0, 9), 0.5), MPII)
    assert list(person) == ["number", *of_photograph]
    assert person["joints"]["pelvis"].keys() == of_photograph["joints"]["pelvis"].keys()


def test_a_clip_is_asked_for_what_it_lacks_while_it_is_open(tmp_path, monkeypatch):
    num_streams = []

    def describe(losses):
        num_streams.append(len(losses._container.streams))  # none once it is closed
        return ("a note",)

    monkeypatch.setattr(Losses, "describe", describe)
    assert predict(tmp_path, walk(2)).notes == ("a note",)
    assert num_streams == [1]


def test_the_drawn_clip_has_the_frames_with_skeletons_at_their_times(tmp_path):
    times = [0.0, 0.1, 0.15, 0.6, 0.65, 1.2]
    written = predict(tmp_path, walk(6), times=times, name="a.mkv")
    pictures, drawn_times = read_clip(written.video)
    np.testing.assert_allclose(drawn_times, times, atol=2e-3)
    for picture, truth in zip(pictures, walk(6), strict=True):
        assert picture.shape == truth.shape
        changed = np.abs(picture.astype(int) - truth).max(axis=2) > 60
        rows, columns = np.nonzero(truth[..., 0])
        inside = changed[rows.min() : rows.max(), columns.min() : columns.max()]
        assert inside.mean() > 0.15
        changed[rows.min() - 6 : rows.max() + 7, columns.min() - 6 : columns.max() + 7] = False
        assert changed.mean() < 0.01


def test_without_people_the_frames_stay_as_they_are(tmp_path):
    written = predict(tmp_path, [bars(SIZE)] * 5)
    assert (written.num_seen, written.num_people, written.best) == (0, 0, 0)
    assert [line["people"] for line in read_record(written)[1]] == [[]] * 5
    assert np.max(read_clip(written.video)[0]) < 20


def test_it_plays_in_browsers(tmp_path):
    written = predict(tmp_path, figures(5), WHOLE)
    data = written.video.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "what a player needs first comes first"
    with av.open(str(written.video)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)


@pytest.mark.parametrize("name", ENCODERS)
def test_any_of_the_encoders_will_do(tmp_path, monkeypatch, name):
    if name not in av.codecs_available:
        pytest.skip(f"this PyAV has no {name}")
    monkeypatch.setattr(writer, "ENCODERS", {"absent": {}, name: ENCODERS[name]})
    pictures, times = read_clip(predict(tmp_path, walk(12)).video)
    assert len(pictures) == 12
    np.testing.assert_allclose(times, np.arange(12) / 10, atol=1e-3)


def test_the_same_clip_gives_the_same_bytes(tmp_path):
    path, files = write_clip(tmp_path / "a.mp4", figures(8), sound="aac"), set()
    for _ in range(12):  # what threads or stray memory decide shows now and then alone
        written = predict_clip(BarBackend(), path, tmp_path / "out" / "a", WHOLE)
        files.add((written.video.read_bytes(), written.record.read_bytes()))
    assert len(files) == 1


@pytest.mark.parametrize("size", [(161, 121), (160, 121), (35, 64)])
def test_odd_sizes_get_a_second_last_row_or_column(tmp_path, size):
    written = predict(tmp_path, [bars(size, (20, 30), width=8, height=30)] * 3, WHOLE,
                      name="a.mkv", codec="ffv1", pixels="bgr0")  # fmt: skip
    pictures, _ = read_clip(written.video)
    assert pictures[0].shape[:2] == tuple(side + side % 2 for side in size[::-1])
    header, _ = read_record(written)
    assert (header["width"], header["height"]) == size


def test_colours_survive(tmp_path):
    picture = np.zeros((64, 96, 3), np.uint8)
    for k, colour in enumerate([(200, 40, 40), (40, 200, 40), (40, 40, 200)]):
        picture[:, 32 * k : 32 * k + 32] = colour
    config = InferenceConfig(threshold=1.0)  # no person: nothing is drawn
    form = {"codec": "ffv1", "pixels": "bgr0", "name": "a.mkv"}
    pictures, _ = read_clip(predict(tmp_path, [picture] * 3, config, **form).video)
    np.testing.assert_allclose(pictures[1][32, 16::32], picture[32, 16::32], atol=8)


def test_a_rotated_clip_is_drawn_upright(tmp_path):
    lying = [np.ascontiguousarray(np.rot90(frame, -1)) for frame in walk(4)]
    written = predict(tmp_path, lying, rotation=90)
    assert read_record(written)[0]["width"] == SIZE[0]
    with av.open(str(written.video)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (*SIZE, 0)


def test_the_surest_lies_on_top():
    def person(number, score):
        keypoints = np.linspace((30, 20), (90, 20 + number), 16)
        return TrackedPerson(number, Pose(keypoints, np.ones(16), (0, 0, 99), score))

    drawn = {}
    for order in ((1, 2), (2, 1)):
        people = [person(number, 0.9 if number == 1 else 0.4) for number in order]
        frame = Frame(0, 0.0, np.zeros((60, 120, 3), np.uint8))
        drawn[order] = draw_people((frame, people), MPII)[0].pixels
    np.testing.assert_array_equal(drawn[1, 2], drawn[2, 1])


class Endless:
    """The frames of a clip of any length, and how many were taken."""

    def __init__(self, number):
        self.number, self.taken = number, 0

    def __call__(self):
        pixels = walk(1)[0]
        for k in range(self.number):
            self.taken += 1
            yield Frame(k, k / 10, pixels.copy())


def test_the_number_under_way_does_not_grow_with_the_length(tmp_path, monkeypatch):
    frames, most = Endless(400), 0
    monkeypatch.setattr(Clip, "read_frames", frames)
    describe = writer.describe_frame

    def count(frame, people, schema):
        nonlocal most
        most = max(most, frames.taken - frame.number)
        return describe(frame, people, schema)

    monkeypatch.setattr(writer, "describe_frame", count)
    written = predict(tmp_path, walk(2), WHOLE)
    assert written.num_frames == 400
    # Read ahead, being drawn, being written, and the one in the network.
    assert 1 < most <= 3 * AHEAD + 1


def test_reading_drawing_and_writing_are_other_threads_than_the_networks(tmp_path, monkeypatch):
    names = {}

    def note(step, function):
        def noted(*arguments, **options):
            names.setdefault(step, set()).add(threading.current_thread().name)
            return function(*arguments, **options)

        return noted

    monkeypatch.setattr(clips, "draw_people", note("draw", draw_people))
    monkeypatch.setattr(writer, "describe_frame", note("write", writer.describe_frame))
    monkeypatch.setattr(Clip, "_time_of", note("read", Clip._time_of))

    class Backend(BarBackend):
        __call__ = note("infer", BarBackend.__call__)

    predict(tmp_path, walk(20), backend=Backend())
    assert names["infer"] == {threading.main_thread().name}
    assert len(names["read"]) == len(names["write"]) == 1
    assert not names["infer"] & (names["draw"] | names["read"] | names["write"])
    assert not names["read"] & names["write"]


def test_a_defect_in_a_thread_ends_it_all_and_leaves_nothing(tmp_path, monkeypatch):
    for module, step in ((clips, "draw_people"), (writer, "describe_frame")):

        def fail(*_, step=step, **__):
            raise ZeroDivisionError(step)

        with monkeypatch.context() as patch:
            patch.setattr(module, step, fail)
            with pytest.raises(ZeroDivisionError, match=step):
                predict(tmp_path, walk(20))
        assert list((tmp_path / "out").iterdir()) == []


def test_a_box_beside_the_frame_is_one_line(tmp_path):
    config = InferenceConfig("bbox", ((500, 10, 20, 20),), threshold=None)
    with pytest.raises(UserError, match=r"box 500,10,20,20 leaves nothing to see of .* 160 x 120"):
        predict(tmp_path, walk(3), config)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_camera_films_until_it_is_interrupted(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.ts", walk(40))
    real = av.open

    def film(file, mode="r", format=None, **options):
        if format == "v4l2":
            return real(str(path))
        return real(file, mode, format=format, **options)

    monkeypatch.setattr(av, "open", film)

    class Backend(BarBackend):
        def __call__(self, inputs):
            if len(self.num_inputs) == 12:
                signal.raise_signal(signal.SIGINT)
            return super().__call__(inputs)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        written = predict_clip(Backend(), Path("/dev/video0"), tmp_path / "out/video0", WHOLE)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, usual)
    assert 12 <= written.num_frames < 40
    header, lines = read_record(written)
    assert header["video"] == "/dev/video0"
    assert len(lines) == len(read_clip(written.video)[0]) == written.num_frames

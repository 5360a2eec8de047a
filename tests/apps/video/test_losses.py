import av
import pytest

from helpers.clips import figures, write_clip
from hourglass.apps.video.reader import open_clip

FRAMES = figures(40)
FORM = {"options": {"g": "5", "bf": "0"}, "rate": 10}


def read_losses(path):
    with open_clip(path) as clip:
        number = len(list(clip.read_frames()))
        return number, clip.losses.describe()


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi", "a.ts", "a.flv"])
def test_a_whole_clip_lacks_nothing(tmp_path, name):
    assert read_losses(write_clip(tmp_path / name, FRAMES, sound="aac", **FORM)) == (40, ())


def test_sound_that_is_longer_than_the_frames_is_no_loss(tmp_path):
    for name in ("a.mp4", "a.mkv"):
        path = write_clip(tmp_path / name, FRAMES, sound="aac", seconds=9, **FORM)
        assert read_losses(path) == (40, ())


def test_frames_that_an_mp4_promises_and_lacks_are_told(tmp_path):
    options = {"movflags": "faststart"}
    path = cut(write_clip(tmp_path / "a.mp4", FRAMES, container_options=options, **FORM), 0.7)
    number, (*_, text) = read_losses(path)
    assert 10 < number < 40 and text == "its file promises 40 frames"


def test_seconds_that_a_matroska_file_promises_and_lacks_are_told(tmp_path):
    number, (*_, text) = read_losses(cut(write_clip(tmp_path / "a.mkv", FRAMES, **FORM), 0.5))
    assert 5 < number < 40 and text == f"it ends at {number / 10:.1f} of 4.0 s"


def test_what_an_edit_list_cuts_off_was_not_promised(tmp_path):
    whole, path = write_clip(tmp_path / "a.mp4", FRAMES, **FORM), tmp_path / "b.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                # The first frames are before 0 s: an edit list hides them.
                shift = round(0.7 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                target.mux(packet)
    number, texts = read_losses(path)
    assert (number <= 40, texts) == (True, ())

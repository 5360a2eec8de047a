import av
import numpy as np
import pytest

from helpers.clips import BarBackend, bars, read_clip, read_sound, write_clip
from hourglass.apps.video.clips import predict_clip
from hourglass.inference.runner import InferenceConfig

FRAMES = [bars((96, 64), (30 + k, 32), width=10, height=40) for k in range(20)]
WHOLE = InferenceConfig("whole", threshold=None)


def predict(tmp_path, path):
    return predict_clip(BarBackend(), path, tmp_path / "out", WHOLE).video


def loudness(path):
    """Root mean square of the sound, a tenth of a second each."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=8000)
        parts = [part.to_ndarray().ravel() for frame in container.decode(audio=0)
                 for part in resampler.resample(frame)]  # fmt: skip
    samples = np.concatenate(parts)
    return np.sqrt(np.square(samples[: len(samples) // 800 * 800].reshape(-1, 800)).mean(axis=1))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("a.mkv", "libmp3lame"), ("a.webm", "libopus"), ("a.mkv", "flac")],
)
def test_sound_that_mp4_and_browsers_take_is_copied_bit_by_bit(tmp_path, name, codec):
    video = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_clip(tmp_path / name, FRAMES, codec=video, sound=codec, sound_rate=48_000)
    packets, codec_before, _ = read_sound(path)
    copied, codec_after, _ = read_sound(predict(tmp_path, path))
    assert codec_before == codec_after
    assert copied == packets


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.avi", "pcm_s16le", 8000), ("a.mkv", "mp2", 44_100), ("a.mov", "pcm_s16be", 44_100),
     ("a.mkv", "ac3", 48_000), ("a.mkv", "pcm_f32le", 96_000)],
)  # fmt: skip
def test_all_other_sound_becomes_aac(tmp_path, name, codec, rate):
    path = write_clip(
        tmp_path / name, FRAMES, sound=codec, sound_rate=rate,
    )  # fmt: skip
    video = predict(tmp_path, path)
    _, after, first = read_sound(video)
    assert after == "aac"
    # The encoder begins with a block of silence, which players leave out.
    assert -1024 / min(rate, 48_000) - 1e-3 <= first < 0.03
    before, after = loudness(path), loudness(video)
    assert len(after) == pytest.approx(len(before), abs=1)
    np.testing.assert_allclose(after[1:18], before[1:18], rtol=0.05)


def test_adts_sound_of_a_transport_stream_fits_into_mp4(tmp_path):
    path = write_clip(tmp_path / "a.ts", FRAMES, sound="aac")
    np.testing.assert_allclose(loudness(predict(tmp_path, path))[3:18], 0.21, rtol=0.05)


def test_sound_stays_with_the_frames(tmp_path):
    # Half a second of frames before the tone.
    path = write_clip(tmp_path / "a.mp4", FRAMES, sound="aac", sound_start=0.5, seconds=1.5)
    video = predict(tmp_path, path)
    first = [read_sound(which)[2] for which in (path, video)]
    assert first[1] == pytest.approx(first[0], abs=0.002) and first[0] > 0.45
    assert read_clip(video)[1][0] == 0


@pytest.mark.parametrize("seconds", [0.5, 5.0])
def test_sound_shorter_or_longer_than_the_frames_is_kept_whole(tmp_path, seconds):
    path = write_clip(tmp_path / "a.mp4", FRAMES, sound="aac", seconds=seconds)
    video = predict(tmp_path, path)
    assert len(read_sound(video)[0]) == len(read_sound(path)[0])
    assert len(read_clip(video)[0]) == 20


def test_a_clip_without_sound_gets_none(tmp_path):
    video = predict(tmp_path, write_clip(tmp_path / "a.mp4", FRAMES))
    with av.open(str(video)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_sound_and_frames_lie_beside_one_another_in_the_file(tmp_path):
    frames = [FRAMES[k % 20] for k in range(100)]
    video = predict(tmp_path, write_clip(tmp_path / "a.mp4", frames, sound="aac"))
    times = {"video": 0.0, "audio": 0.0}
    with av.open(str(video)) as container:
        packets = [
            (p.pos, p.stream.type, float(p.dts * p.time_base))
            for p in container.demux() if p.dts is not None
        ]  # fmt: skip
    for _, kind, time in sorted(packets):
        times[kind] = time
        assert abs(times["video"] - times["audio"]) < 1.5

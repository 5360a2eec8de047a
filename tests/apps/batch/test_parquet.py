import numpy as np
import pytest

from helpers.batch_runs import begin_chunks, make_plan, save_dots
from helpers.fake_backends import BrightestBackend
from hourglass.apps.batch import results
from hourglass.apps.batch.chunks import predict_chunk
from hourglass.keypoints import JOINTS

pyarrow_parquet = pytest.importorskip("pyarrow.parquet", reason="tables need pyarrow")
from hourglass.apps.batch import parquet  # noqa: E402


@pytest.fixture
def plan(tmp_path):
    paths = save_dots(tmp_path / "in", 12)
    paths[3].write_text("junk")
    plan = make_plan(tmp_path)
    (part,), scratch = begin_chunks(plan, [path.relative_to(tmp_path) for path in paths])
    predict_chunk(BrightestBackend(), plan, part, scratch)
    results.gather_chunks(plan, [part], scratch)
    return plan


def test_a_row_is_a_person_as_the_records_have_them(plan, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP", 4)
    parquet.write_table(plan, plan.folder)
    rows = pyarrow_parquet.read_table(plan.folder / "poses.parquet").to_pylist()
    pictures = list(results.read_poses(plan))
    people = [(picture, person) for picture in pictures for person in picture["people"]]
    assert len(rows) == len(people) == 9
    for row, (picture, person) in zip(rows, people, strict=True):
        assert (row["image"], row["width"], row["person"]) == (picture["image"], 60, 0)
        numbers = [row[f"{name}_{key}"] for name in JOINTS for key in ("x", "y", "score")]
        expected = [person["joints"][n][key] for n in JOINTS for key in ("x", "y", "score")]
        np.testing.assert_allclose(numbers, expected, rtol=1e-6)


def test_it_is_written_once_and_the_same(plan):
    path = plan.folder / "poses.parquet"
    parquet.write_table(plan, plan.folder)
    before, time = path.read_bytes(), path.stat().st_mtime_ns
    parquet.write_table(plan, plan.folder)
    assert path.stat().st_mtime_ns == time
    path.unlink()
    parquet.write_table(plan, plan.folder)
    assert path.read_bytes() == before


def test_a_name_of_any_bytes_is_text(plan):
    (row,) = parquet.list_rows(
        {
            "image": "caf\udce9.png", "width": 1, "height": 1,
            "people": [{"score": 0.5, "joints": {}}],
        }
    )  # fmt: skip
    assert row["image"] == "caf\\udce9.png"

import pytest

from helpers.archives import names_in
from helpers.paths import DATA, needs_data
from helpers.server import RECORDS, data_params
from hourglass.data.archives import open_images
from hourglass.data.datasets import synthetic
from hourglass.data.download import fetch_dataset
from hourglass.utils.errors import UserError
from hourglass.utils.files import exclusive_lock

pytestmark = pytest.mark.usefixtures("quick_retries")
LSPET = DATA / "lspet-first60.zip"


def test_mpii_is_fetched_indexed_and_not_fetched_again(site, small_mpii, tmp_path):
    folder = tmp_path / "raw"
    fetch_dataset(small_mpii, folder)
    images = "mpii_human_pose_v1.tar.gz"
    expected = [images, f"{images}.gzidx", f"{images}.members.json"]
    expected += ["mpii_human_pose_v1_u12_2.zip", "train.json", "validation.json"]
    assert names_in(folder) == expected
    with open_images(folder / images) as archive:
        assert archive.names() == {"a.jpg", "b.jpg"} and archive.read("b.jpg") == b"bb"
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}
    assert len(site.requests) == 4
    fetch_dataset(small_mpii, folder)
    assert len(site.requests) == 4
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()} == before


def test_json_host_gone_takes_the_fallback_and_keeps_it(site, small_mpii, tmp_path, capsys):
    content = site.files.pop("validation.json")
    folder = tmp_path / "raw"
    fetch_dataset(small_mpii, folder)
    assert (folder / "valid_images.txt").read_bytes() == b"a.jpg\nb.jpg\n"
    assert not (folder / "validation.json").exists()
    assert "validation.json: the server answered 404" in capsys.readouterr().err
    site.files["validation.json"] = content
    fetch_dataset(small_mpii, folder)
    assert not (folder / "validation.json").exists()
    (folder / "valid_images.txt").unlink()
    fetch_dataset(small_mpii, folder)
    assert (folder / "validation.json").exists()


def test_folder_is_packed_under_the_lock(tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / "images").mkdir(parents=True)
    (own / "images" / "a.jpg").write_bytes(b"a")
    for name in ("train.json", "validation.json"):
        (own / name).write_bytes(RECORDS)
    fetch_dataset(data_params("folder", folder=own), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == ["images.zip", "train.json", "validation.json"]
    with (
        exclusive_lock(tmp_path / "raw" / ".lock", "testing"),
        pytest.raises(UserError, match="is filling"),
    ):
        fetch_dataset(data_params("folder", folder=own), tmp_path / "raw")


def test_synthetic_is_drawn_under_the_lock(tmp_path, monkeypatch):
    seen = []
    real_write = synthetic.write_dataset

    def write_and_look(folder, params):
        seen.append((folder / ".lock").exists())
        real_write(folder, params)

    monkeypatch.setattr(synthetic, "write_dataset", write_and_look)
    fetch_dataset(data_params("synthetic"), tmp_path)
    assert seen == [True]
    assert names_in(tmp_path) == ["images.zip", "train.json", "validation.json"]


@needs_data("lspet-first60.zip")
def test_the_real_lspet_archive(site, tmp_path):
    site.files["lspet.zip"] = LSPET.read_bytes()
    fetch_dataset(data_params("lspet", site.url), tmp_path)
    assert names_in(tmp_path) == ["lspet.zip"]

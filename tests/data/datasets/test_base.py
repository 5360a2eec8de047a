import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.annotations import make_record
from helpers.archives import zip_bytes
from helpers.pictures import file_of
from helpers.server import data_params
from helpers.shards import shard_annotations
from helpers.stored_persons import shard_params
from hourglass.data.datasets.base import (
    DATASETS,
    Dataset,
    find_dataset,
    find_network_terms,
    load_datasets,
    name_datasets,
    register,
)
from hourglass.data.datasets.mpii import Mpii
from hourglass.data.download import fetch_dataset
from hourglass.data.http import RemoteFile
from hourglass.data.parse import parse_dataset
from hourglass.data.raw_records import RawSplit
from hourglass.data.tfrecords.reader import open_records, open_split
from hourglass.data.zip_files import DOWNLOAD_AGAIN
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError
from hourglass.utils.files import read_json_list


def test_each_file_of_the_folder_is_a_dataset_or_what_they_share():
    folder = Path(__file__).parents[3] / "src/hourglass/data/datasets"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "coco"}
    assert files <= load_datasets().keys()
    assert all(name == dataset.name for name, dataset in load_datasets().items())


def test_an_unknown_dataset_is_one_line_with_those_there_are():
    line = (
        r"params\.yaml: data\.dataset: must be one of folder, lspet, mixed, mpii, .* \(got 'coco'\)"
    )
    with pytest.raises(UserError, match=line):
        find_dataset("coco")


def remote_files():
    for dataset in load_datasets().values():
        yield from dataset.files
    yield from (*Mpii.annotations, Mpii.split_list)


def test_remote_files_are_plain_names_over_https():
    files = list(remote_files())
    assert len(files) == 6
    for file in files:
        assert "/" not in file.name and file.url.startswith("https://")
        assert file.md5 is None or len(bytes.fromhex(file.md5)) == 16


def test_what_is_fetched_can_be_told_from_what_is_wrong():
    for file in remote_files():
        # A .tar.gz is indexed for its md5; a zip has its members' CRCs.
        assert file.md5 or (file.check and not file.name.endswith(".gz")) or ".zip" in file.name


def test_pictures_come_from_a_fetched_archive_or_from_a_packed_one():
    for name, dataset in load_datasets().items():
        names = {file.name for file in dataset.files} or {"images.zip"}
        assert dataset.images in names or name == "mixed"


def test_pictures_that_may_not_be_passed_on_are_known():
    assert {n for n, d in load_datasets().items() if not d.is_free} == {"mpii", "lspet", "mixed"}


def test_datasets_are_named_in_words():
    assert (
        name_datasets(["lspet", "synthetic", "x"]) == "Leeds Sports Pose Extended, drawn figures, x"
    )


@pytest.mark.parametrize(
    ("trained_on", "part"),
    [("mpii", "MPII"), ("lspet", "Leeds"), ("synthetic", "MIT"),
     ("folder", Dataset.network_terms)],
)  # fmt: skip
def test_a_network_may_be_used_as_its_data(trained_on, part):
    assert part in find_network_terms([trained_on])


def test_the_terms_of_all_data_hold():
    terms = find_network_terms(["synthetic", "lspet", "folder", "own"])
    assert "MIT" in terms and "Leeds" in terms and terms.count(Dataset.network_terms) == 1


def test_mirror_replaces_the_home_but_nothing_else():
    file = RemoteFile("a.zip", "https://home/deep/1234.zip", md5="0" * 32)
    assert file.at_mirror("") == file
    mirrored = RemoteFile("a.zip", "http://host/folder/a.zip", md5="0" * 32)
    assert file.at_mirror("http://host/folder") == mirrored
    assert file.at_mirror("http://host/folder/") == mirrored


@pytest.fixture
def toy():
    """A dataset of one's own: all that another one needs is such a class in a file."""

    @register
    class Toy(Dataset):
        name = "toy"
        title = "a toy"
        terms = "as you like"
        files = (
            RemoteFile("labels.json", "http://localhost/labels.json"),
            RemoteFile("images.zip", "http://localhost/images.zip"),
        )

        def read_splits(self, raw, image_names, schema):
            records = read_json_list(raw / "labels.json", DOWNLOAD_AGAIN)
            return RawSplit(records[:-2], MPII), RawSplit(records[-2:], MPII)

    yield Toy
    del DATASETS["toy"]


def test_a_new_dataset_goes_through_download_parse_and_shard(toy, site, tmp_path, quick_retries):
    picture = file_of(Image.new("RGB", (160, 120), "red"), "JPEG")
    records = [make_record(image=f"{number}.jpg") for number in range(5)]
    records[1]["scale"] = "unknown"
    site.files = {
        "labels.json": json.dumps(records).encode(),
        "images.zip": zip_bytes([(f"images/{r['image']}", picture) for r in records]),
    }
    fetch_dataset(data_params("toy", mirror=site.url), tmp_path / "raw")
    splits, (record,), *_ = parse_dataset(tmp_path / "raw", "toy", MPII)
    assert {split: len(people) for split, people in splits.items()} == {"train": 2, "validation": 2}
    assert (record.split, record.index) == ("train", 1) and record.reason.startswith("scale is not")
    shard_annotations(tmp_path / "out", splits, tmp_path / "raw" / "images.zip", shard_params())
    split = open_split(tmp_path / "out", "validation", 256)
    names = [
        r["filename"].decode() for r in open_records(split).map(split.parse).as_numpy_iterator()
    ]
    assert names == ["3.jpg", "4.jpg"]

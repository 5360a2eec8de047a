from hourglass.config import DataParams
from hourglass.data.datasets.base import DATASETS, RemoteFile


def remote_files():
    for dataset in DATASETS.values():
        yield from dataset.files + dataset.annotations
        if dataset.fallback:
            yield dataset.fallback


def test_every_dataset_of_params_is_known():
    assert set(DATASETS) == set(DataParams.model_fields["dataset"].annotation.__args__)


def test_remote_files_are_plain_names_over_https():
    files = list(remote_files())
    assert len(files) == 6
    for file in files:
        assert "/" not in file.name and file.url.startswith("https://")
        assert file.md5 is None or len(bytes.fromhex(file.md5)) == 16


def test_archives_that_are_indexed_have_a_checksum_to_index_for():
    assert all(file.md5 for file in remote_files() if file.name.endswith(".tar.gz"))


def test_annotations_that_may_vanish_have_a_fallback():
    assert all(bool(dataset.annotations) == bool(dataset.fallback) for dataset in DATASETS.values())


def test_pictures_come_from_a_fetched_archive_or_from_a_packed_one():
    for dataset in DATASETS.values():
        names = {file.name for file in dataset.files} or {"images.zip"}
        assert dataset.images in names


def test_mirror_replaces_the_home_but_nothing_else():
    file = RemoteFile("a.zip", "https://home/deep/1234.zip", md5="0" * 32)
    assert file.at_mirror("") == file
    mirrored = RemoteFile("a.zip", "http://host/folder/a.zip", md5="0" * 32)
    assert file.at_mirror("http://host/folder") == mirrored
    assert file.at_mirror("http://host/folder/") == mirrored

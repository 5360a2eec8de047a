import json
import zipfile

import pytest

from helpers.server import data_params
from helpers.shards import shard_annotations
from hourglass.config import SyntheticParams
from hourglass.data.archives import locate_pictures, open_images
from hourglass.data.download import fetch_dataset
from hourglass.data.parse import parse_dataset, parse_sets
from hourglass.data.synthetic.pictures import FIGURE, write_dataset
from hourglass.data.tfrecords.pipeline import train_batches
from hourglass.data.tfrecords.plan import count_sets
from hourglass.data.tfrecords.reader import open_split
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError

SETS = {"old": "folder", "drawn": "synthetic"}


def write_own(folder, num_train, seed):
    """A folder of one's own, of drawn figures."""
    write_dataset(folder, SyntheticParams(num_train=num_train, num_val=2, seed=seed))
    with zipfile.ZipFile(folder / "images.zip") as archive:
        archive.extractall(folder)
    (folder / "images.zip").unlink()
    columns = [FIGURE.keypoints.index(name) for name in MPII.keypoints]
    for path in (folder / "train.json", folder / "validation.json"):
        records = json.loads(path.read_text())
        for record in records:
            for key in ("joints", "joints_vis"):
                record[key] = [record[key][column] for column in columns]
        path.write_text(json.dumps(records))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The parameters of two sets of one or more pictures, and the folder of their raw files."""
    folder = tmp_path_factory.mktemp("mixed")
    write_own(folder / "own" / "old", 4, seed=2)
    data = data_params("mixed", folder=folder / "own", sets=SETS, num=3)
    fetch_dataset(data, folder / "raw")
    return data, folder / "raw"


def parse(mixed, excluded=()):
    return parse_sets(mixed[1], SETS, MPII, excluded)


def test_the_persons_are_those_of_each_set_one_after_the_other(mixed):
    splits, invalid, num_excluded, *_ = parse(mixed)
    assert not invalid and num_excluded == 0
    for split, number in (("train", 7), ("validation", 3)):
        alone = [
            (f"{name}/{person.image}", person.joints.tolist(), person.head_size)
            for name, dataset in SETS.items()
            for person in parse_dataset(mixed[1] / name, dataset, MPII).splits[split]
        ]
        together = [(p.image, p.joints.tolist(), p.head_size) for p in splits[split]]
        assert together == alone and len(alone) == number


def test_an_invalid_record_names_its_set(mixed, tmp_path):
    data, _ = mixed
    write_own(tmp_path / "own" / "old", 4, seed=2)
    path = tmp_path / "own" / "old" / "train.json"
    records = json.loads(path.read_text())
    records[1]["scale"] = "tall"
    path.write_text(json.dumps(records))
    data = data.model_copy(update={"folder": str(tmp_path / "own")})
    fetch_dataset(data, tmp_path / "raw")
    splits, (record,), *_ = parse_sets(tmp_path / "raw", SETS, MPII)
    assert (record.image, record.index) == (f"old/{records[1]['image']}", 1)
    assert len(splits["train"]) == 6


def test_pictures_are_excluded_by_their_name_in_the_set(mixed):
    all_names = [person.image for person in parse(mixed)[0]["train"]]
    gone = next(name for name in all_names if name.startswith("drawn/"))
    splits, _, num_excluded, not_used, _ = parse(mixed, [[gone, gone]])
    assert num_excluded == 1
    assert not_used == {"train": {"of an excluded picture": 1}, "validation": {}}
    assert [p.image for p in splits["train"]] == [name for name in all_names if name != gone]


def test_a_missing_folder_of_a_set_is_named(mixed, tmp_path):
    data = mixed[0].model_copy(update={"folder": str(tmp_path)})
    with pytest.raises(UserError, match=r"data\.folder: .*/old is no folder"):
        fetch_dataset(data, tmp_path / "raw")


def test_pictures_are_read_from_the_archive_of_their_set(mixed):
    archive = mixed[1] / "archives.json"
    with open_images(archive) as images:
        names = sorted(images.names(), key=lambda name: locate_pictures(archive)[name])
        # In the order of the plan: one archive after the other.
        assert [name.split("/")[0] for name in names] == ["old"] * 6 + ["drawn"] * 4
        images.announce(names)
        for name in names:
            own, picture = name.split("/", 1)
            with open_images(mixed[1] / own / "images.zip") as alone:
                assert images.read(name) == alone.read(picture)
        with pytest.raises(UserError, match=r"not in archives\.json"):
            images.read("old/none.jpg")


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 1}'])
def test_a_damaged_list_of_archives_is_one_line(tmp_path, content):
    (tmp_path / "archives.json").write_text(content)
    with pytest.raises(UserError, match=r"archives\.json: .*run `dvc repro download`"):
        open_images(tmp_path / "archives.json")


@pytest.fixture(scope="module")
def split(mixed, tmp_path_factory, tiny_params):
    """The train shards of the two sets."""
    persons = parse(mixed)[0]
    folder = tmp_path_factory.mktemp("shards")
    sets = count_sets(SETS, persons, [])
    archive = mixed[1] / "archives.json"
    shard_annotations(folder, persons, archive, tiny_params.shard, sets=sets)
    return open_split(folder, "train", 32)


def read_epoch(split, params, batch_size=1, **arguments):
    batches = train_batches(split, batch_size, params.train.augment, 1, 1, **arguments)
    return [(int(b["index"][0]), tuple(b["augmentation"][0].numpy())) for b in batches]


def test_shards_know_their_sets(split):
    assert split.sets == {"old": (4, 4), "drawn": (3, 3)}
    assert split.spread({"drawn": 3}, 1).tolist() == [1, 1, 1, 1, 3, 3, 3]
    assert split.count_records({"drawn": 3}) == 13


def test_an_epoch_shows_the_persons_of_a_set_several_times(split, tiny_params):
    once = read_epoch(split, tiny_params)
    epoch = read_epoch(split, tiny_params, repeats={"drawn": 3})
    shown = [index for index, _ in epoch]
    assert sorted(shown) == [0, 1, 2, 3, *[4] * 3, *[5] * 3, *[6] * 3]
    # Each time another augmentation, the first time that of a single one.
    assert len(set(epoch)) == 13 and set(once) <= set(epoch)
    assert epoch == read_epoch(split, tiny_params, repeats={"drawn": 3})


def test_repeats_of_one_change_nothing(split, tiny_params):
    assert read_epoch(split, tiny_params) == read_epoch(split, tiny_params, repeats={"old": 1})


def test_a_set_is_turned_by_degrees_of_its_own(split, tiny_params):
    turns = dict(read_epoch(split, tiny_params))
    augment = tiny_params.train.augment.model_copy(update={"rotations": {"drawn": 0.0}})
    still = tiny_params.model_copy(
        update={"train": tiny_params.train.model_copy(update={"augment": augment})}
    )
    for index, augmentation in read_epoch(split, still):
        expected = turns[index] if index < 4 else (turns[index][0], 0.0, *turns[index][2:])
        assert augmentation == expected
    assert all(augmentation[1] for augmentation in turns.values())

import hashlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hourglass import files, geometry
from hourglass.annotations.checks import check_records
from hourglass.annotations.persons import Person
from hourglass.errors import UserError
from hourglass.params import load_params
from hourglass.records.crops import store_person
from hourglass.records.images import BadImageError
from hourglass.records.index import read_index, write_index
from hourglass.records.schema import FEATURES, parse_record, serialize_record
from hourglass.records.shards import plan_shards, shard_name, write_shard

ROOT = Path(__file__).parents[1]
SHARED = Path(__file__).parents[2] / "shared"
TUTORIAL = SHARED / "reference" / "action-stickers-tutorial.ko.md"
LSPET_MINI = SHARED / "data" / "lspet-mini"
TUTORIAL_FEATURES = {
    "image/height": "int64_list",
    "image/width": "int64_list",
    "image/depth": "int64_list",
    "image/object/parts/x": "int64_list",
    "image/object/parts/y": "int64_list",
    "image/object/parts/v": "int64_list",
    "image/object/center/x": "int64_list",
    "image/object/center/y": "int64_list",
    "image/object/scale": "float_list",
    "image/encoded": "bytes_list",
    "image/filename": "bytes_list",
}


def shard_params(**changes):
    return load_params(ROOT / "params.yaml").shard.model_copy(update=changes)


def blob_jpeg(width, height, x, y, sigma=8, **options):
    """A JPEG with one white blob about (x, y)."""
    columns, rows = np.arange(width) - x, np.arange(height) - y
    bell = np.exp(-(columns**2 + rows[:, None] ** 2) / (2 * sigma**2))
    with io.BytesIO() as buffer:
        image = Image.fromarray(np.rint(255 * bell).astype(np.uint8)).convert("RGB")
        image.save(buffer, **({"format": "JPEG", "quality": 95} | options))
        return buffer.getvalue()


def make_person(seed=0, scale=1.3, image="a.jpg"):
    """A person about (320, 240), joints of many decimals; one is missing, one above the top."""
    rng = np.random.default_rng(seed)
    joints = rng.normal([320, 240], 60 * scale, (16, 2))
    joints[9] = 310.123, -4.567
    joints_vis = np.ones(16, bool)
    joints[3], joints_vis[3] = -1, False
    return Person(image, joints, joints_vis, np.array([320.4, 238.7]), scale)


def encode_record(person, index, data, params):
    return serialize_record(person, index, store_person(person, data, params))


def read_record(serialized):
    return {key: value.numpy() for key, value in parse_record(serialized).items()}


def to_picture(record, points):
    return geometry.apply_transform(record["transform"].astype(np.float64), points)


class Folder:
    """Pictures by name; what is not there is a UserError, as in an archive."""

    def __init__(self, pictures):
        self.pictures = pictures

    def read(self, name):
        if name not in self.pictures:
            raise UserError(f"{name}: not in the archive")
        return self.pictures[name]


# The plan


def test_shards_have_the_tutorials_names():
    assert shard_name("train", 1, 64) == "train_0001_of_0064.tfrecords"
    assert shard_name("val", 8, 8) == "val_0008_of_0008.tfrecords"


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(("num_records", "num_shards"), [(100, 7), (22_246, 64), (8, 8), (3, 5)])
def test_every_record_is_in_one_shard_and_the_shards_are_alike(num_records, num_shards, seed):
    shards = plan_shards("validation", "val", num_records, num_shards, seed)
    assert [s.name for s in shards] == [
        f"val_{k:04d}_of_{num_shards:04d}.tfrecords" for k in range(1, num_shards + 1)
    ]
    assert {shard.split for shard in shards} == {"validation"}
    sizes = [len(shard.indices) for shard in shards]
    assert max(sizes) - min(sizes) <= 1
    order = np.concatenate([shard.indices for shard in shards])
    np.testing.assert_array_equal(np.sort(order), np.arange(num_records))


def test_without_a_seed_the_order_is_kept():
    shards = plan_shards("validation", "val", 50, 4)
    np.testing.assert_array_equal(np.concatenate([s.indices for s in shards]), np.arange(50))


def test_the_order_follows_from_the_seed_alone():
    def order(seed):
        shards = plan_shards("train", "train", 50, 4, seed)
        return np.concatenate([shard.indices for shard in shards]).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != list(range(50))
    assert order(0) != list(range(50)), "0 is a seed too"


# Writer and reader


@pytest.mark.parametrize("crop_size", [384, 96, 0])
@pytest.mark.parametrize("scale", [0.2, 1.3, 2.9])
def test_a_record_comes_back_as_it_was(crop_size, scale):
    person = make_person(scale=scale)
    data = blob_jpeg(640, 480, *person.joints[0])
    params = shard_params(crop_size=crop_size)
    record = read_record(encode_record(person, 17, data, params))
    joints = to_picture(record, record["keypoints"])
    joints_vis = person.joints_vis
    np.testing.assert_allclose(joints[joints_vis], person.joints[joints_vis], atol=0.01)
    np.testing.assert_array_equal(record["joints_vis"], joints_vis)
    center, side = geometry.view_square(person.center, person.scale)
    np.testing.assert_allclose(to_picture(record, record["center"]), center, atol=0.01)
    assert record["side"] * record["transform"][0, 0] == pytest.approx(side, rel=1e-5)
    assert (record["index"], record["filename"]) == (17, b"a.jpg")


@pytest.mark.parametrize("crop_size", [384, 96, 0])
def test_the_stored_keypoints_are_where_the_stored_pixels_are(crop_size):
    person = make_person()
    person.joints[0] = 371.3, 200.8
    data = blob_jpeg(640, 480, *person.joints[0])
    record = read_record(encode_record(person, 0, data, shard_params(crop_size=crop_size)))
    grey = tf.io.decode_jpeg(record["encoded"], channels=1).numpy()[..., 0].astype(float)
    grey = np.maximum(grey - 25, 0)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    found = np.array([(grey * columns).sum(), (grey * rows).sum()]) / grey.sum()
    np.testing.assert_allclose(found, record["keypoints"][0], atol=0.1)


@pytest.mark.parametrize("crop_size", [384, 96, 0])
def test_the_tutorials_features_have_its_names_types_and_meaning(crop_size):
    person = make_person()
    data = blob_jpeg(640, 480, 300, 200)
    serialized = encode_record(person, 0, data, shard_params(crop_size=crop_size))
    features = tf.train.Example.FromString(serialized).features.feature
    kinds = {name: features[name].WhichOneof("kind") for name in TUTORIAL_FEATURES}
    assert kinds == TUTORIAL_FEATURES
    assert set(features) == set(FEATURES)

    def ints(name):
        return np.array(features[f"image/{name}"].int64_list.value)

    record = read_record(serialized)
    exact = record["keypoints"]
    joints_vis = person.joints_vis
    parts = np.stack([ints("object/parts/x"), ints("object/parts/y")], axis=1)
    np.testing.assert_array_equal(parts[joints_vis], np.rint(exact[joints_vis]))
    np.testing.assert_array_equal(ints("object/parts/v"), np.where(joints_vis, 2, 0))
    np.testing.assert_array_equal(parts[~joints_vis], -1)
    height, width, depth = tf.io.decode_jpeg(record["encoded"]).shape
    assert [*ints("height"), *ints("width"), *ints("depth")] == [height, width, depth]
    ratio = record["transform"][0, 0]
    center = to_picture(record, [*ints("object/center/x"), *ints("object/center/y")])
    np.testing.assert_allclose(center, person.center, atol=0.51 * ratio)
    scale = features["image/object/scale"].float_list.value[0]
    assert scale * ratio == pytest.approx(person.scale, rel=1e-5)


def test_a_joint_above_the_picture_is_kept_and_one_at_minus_one_is_told_by_its_flag():
    person = make_person()
    person.joints[5] = -1  # labelled, and by chance where missing joints are written
    record = read_record(
        encode_record(person, 0, blob_jpeg(640, 480, 1, 1), shard_params(crop_size=0))
    )
    assert record["joints_vis"][[3, 5, 9]].tolist() == [False, True, True]
    np.testing.assert_allclose(record["keypoints"][9], [310.123, -4.567], atol=1e-4)


def test_a_crop_is_no_larger_than_asked_and_its_square_is_all_of_it():
    data = blob_jpeg(640, 480, 300, 200)
    for scale, expected in [(2.9, 384), (0.4, 175)]:
        person = make_person(scale=scale)
        record = read_record(encode_record(person, 0, data, shard_params()))
        width = tf.io.decode_jpeg(record["encoded"]).shape[1]
        assert width == expected
        np.testing.assert_array_equal(record["square"], [0, 0, width])


def test_a_whole_plain_jpeg_is_stored_byte_for_byte():
    data = blob_jpeg(640, 480, 300, 200)
    record = read_record(encode_record(make_person(), 0, data, shard_params(crop_size=0)))
    assert record["encoded"] == data
    np.testing.assert_array_equal(record["transform"], np.eye(2, 3))
    x, y, side = record["square"]
    center, view = geometry.view_square(make_person().center, make_person().scale)
    reach = geometry.cover_side(view, 0.25, 30) / 2
    assert (np.array([x, y]) - 0.5 < center - reach).all()
    assert (np.array([x, y]) - 0.5 + side > center + reach).all()


def test_a_whole_picture_of_another_kind_is_stored_as_an_upright_rgb_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = blob_jpeg(480, 640, 200, 479 - 300, exif=exif)  # upright: 640 x 480
    for data in (turned, blob_jpeg(640, 480, 300, 200, format="PNG")):
        encoded = encode_record(make_person(), 0, data, shard_params(crop_size=0))
        stored = Image.open(io.BytesIO(read_record(encoded)["encoded"]))
        assert (stored.format, stored.mode) == ("JPEG", "RGB")
        assert stored.getexif().get(0x0112, 1) == 1
        assert stored.size == (640, 480)


@pytest.mark.parametrize("crop_size", [0, 384])
def test_a_person_beside_the_picture_is_refused(crop_size):
    with pytest.raises(BadImageError, match="lies outside the picture"):
        encode_record(
            make_person(scale=0.1),
            0,
            blob_jpeg(100, 80, 50, 40),
            shard_params(crop_size=crop_size),
        )


# Files


@pytest.fixture
def pictures():
    names = ("a.jpg", "b.jpg", "c.jpg")
    whole = {name: blob_jpeg(640, 480, 200 + 50 * k, 220) for k, name in enumerate(names)}
    return Folder(whole | {"broken.jpg": whole["a.jpg"][:1500], "text.jpg": b"hello"})


def people(*names):
    return [make_person(seed, image=name) for seed, name in enumerate(names)]


def test_the_same_persons_give_the_same_bytes(tmp_path, pictures):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "s.tfrecords"
        persons = people("a.jpg", "b.jpg", "a.jpg")
        assert write_shard(path, [4, 2, 9], persons, pictures, shard_params()) == []
    one, two = ((tmp_path / f / "s.tfrecords").read_bytes() for f in ("one", "two"))
    assert one == two
    records = tf.data.TFRecordDataset(str(path)).map(parse_record)
    assert [int(record["index"]) for record in records] == [4, 2, 9]
    assert [record["filename"].numpy() for record in records] == [b"a.jpg", b"b.jpg", b"a.jpg"]


def test_broken_pictures_are_set_aside_with_the_reason(tmp_path, pictures):
    path = tmp_path / "s.tfrecords"
    persons = people("a.jpg", "broken.jpg", "b.jpg", "text.jpg", "gone.jpg")
    rejects = write_shard(path, np.arange(10, 15), persons, pictures, shard_params())
    assert [reject[:2] for reject in rejects] == [
        (11, "broken.jpg"), (13, "text.jpg"), (14, "gone.jpg")
    ]  # fmt: skip
    reasons = [reject[2] for reject in rejects]
    assert "truncated" in reasons[0]
    assert reasons[1:] == ["cannot be decoded: not a picture", "gone.jpg: not in the archive"]
    records = tf.data.TFRecordDataset(str(path)).map(parse_record)
    assert [int(record["index"]) for record in records] == [10, 12]


def test_an_interrupted_shard_leaves_nothing(tmp_path, pictures):
    class Interrupted(Folder):
        def read(self, name):
            if name == "b.jpg":
                raise KeyboardInterrupt
            return super().read(name)

    with pytest.raises(KeyboardInterrupt):
        write_shard(
            tmp_path / "s.tfrecords", [0, 1], people("a.jpg", "b.jpg"),
            Interrupted(pictures.pictures), shard_params(),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_shard_may_be_empty(tmp_path, pictures):
    path = tmp_path / "s.tfrecords"
    assert write_shard(path, [], [], pictures, shard_params()) == []
    assert list(tf.data.TFRecordDataset(str(path))) == []


def test_the_index_holds_counts_digests_and_how_the_crops_were_cut(tmp_path, pictures):
    persons = people("a.jpg", "broken.jpg", "b.jpg")
    shards = [
        *plan_shards("train", "train", 3, 2),
        *plan_shards("validation", "val", 1, 1),
    ]
    results = [
        write_shard(
            tmp_path / s.name, s.indices, [persons[k] for k in s.indices], pictures, shard_params()
        )
        for s in shards
    ]
    counts = {"train": 3, "validation": 1}
    write_index(tmp_path, shards, results, counts, shard_params())
    index = read_index(tmp_path)
    assert index["crop"] == {"crop_size": 384, "scale_range": 0.25, "rotation_range": 30}
    assert {split: entry["num_persons"] for split, entry in index["splits"].items()} == counts
    num_records = {
        name: shard["num_records"]
        for split in index["splits"].values()
        for name, shard in split["shards"].items()
    }
    assert num_records == {
        "train_0001_of_0002.tfrecords": 1,
        "train_0002_of_0002.tfrecords": 1,
        "val_0001_of_0001.tfrecords": 1,
    }
    for split in index["splits"].values():
        for name, shard in split["shards"].items():
            content = (tmp_path / name).read_bytes()
            assert shard["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_digest_is_of_the_whole_file(tmp_path):
    content = np.random.default_rng(0).bytes(2_500_000)
    (tmp_path / "f").write_bytes(content)
    assert files.file_digest(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_a_missing_or_damaged_index_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"index\.json: missing; run `dvc repro shard`"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text('{"crop": ')
    with pytest.raises(UserError, match=r"index\.json: damaged; delete it"):
        read_index(tmp_path)


# The tutorial's own reader


@pytest.fixture
def tutorial(tmp_path, monkeypatch):
    """Its `preprocess` and `train` modules, rebuilt from its text."""
    tool = SHARED / "tools" / "extract_tutorial.py"
    if not (tool.exists() and TUTORIAL.exists()):
        pytest.skip(f"{TUTORIAL} is not here")
    names = ("preprocess", "hourglass104", "train")
    folder = tmp_path / "tutorial"
    subprocess.run([sys.executable, tool, TUTORIAL, folder], check=True, capture_output=True)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("preprocess"), importlib.import_module("train")
    for name in names:
        del sys.modules[name]


@pytest.fixture
def lspet_shards(tmp_path):
    """24 real persons over 4 shards: the shards' glob pattern, and the persons by index."""
    if not LSPET_MINI.exists():
        pytest.skip(f"{LSPET_MINI} is not here")
    raw = json.loads((LSPET_MINI / "train.json").read_text())
    persons, _ = check_records(raw[:60], None, "train")
    persons = persons[:24]
    images = Folder({p.image: (LSPET_MINI / "images" / p.image).read_bytes() for p in persons})
    for shard in plan_shards("train", "train", len(persons), 4, seed=1):
        people = [persons[k] for k in shard.indices]
        path = tmp_path / shard.name
        assert not write_shard(path, shard.indices, people, images, shard_params())
    return str(tmp_path / "train_*_of_0004.tfrecords"), persons


def test_the_tutorials_parser_finds_the_joints_where_they_are(tutorial, lspet_shards):
    preprocess, _ = tutorial
    pattern, persons = lspet_shards
    parse = preprocess.Preprocessor().parse_tfexample
    seen = []
    for serialized in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern)):
        theirs, ours = parse(serialized), read_record(serialized)
        x, y, v = (tf.sparse.to_dense(theirs[f"image/object/parts/{k}"]).numpy() for k in "xyv")
        person = persons[ours["index"]]
        np.testing.assert_array_equal(v > 0, person.joints_vis)
        joints = to_picture(ours, np.stack([x, y], axis=1))
        distance = np.linalg.norm(joints - person.joints, axis=1)[person.joints_vis]
        assert distance.max() <= 1
        assert theirs["image/filename"].numpy().decode() == person.image
        seen.append(int(ours["index"]))
    assert sorted(seen) == list(range(24))


def test_the_tutorials_dataset_reads_every_record(tutorial, lspet_shards):
    _, train = tutorial
    pattern, persons = lspet_shards
    num_pictures = num_peaks = 0
    for pictures, heatmaps in train.create_dataset(pattern, 8, 16, is_train=False):
        assert pictures.shape[1:] == (256, 256, 3)
        assert heatmaps.shape[1:] == (64, 64, 16)
        assert np.abs(pictures).max() <= 1
        num_pictures += len(pictures)
        num_peaks += (np.max(heatmaps, axis=(1, 2)) == 12).sum()  # its Gaussians' peak
    assert num_pictures == 24
    num_labelled = sum(person.joints_vis.sum() for person in persons)
    # It loses a Gaussian now and then, on the border of its own crop.
    assert 0.9 * num_labelled < num_peaks <= num_labelled

import re

import pytest
from dvc.utils.serialize import load_yaml
from ruamel.yaml import YAML

from helpers.paths import ROOT
from hourglass.config import list_datasets, load_params
from hourglass.keypoints import COCO, MPII, KeypointSchema
from hourglass.utils.errors import UserError


@pytest.fixture
def load(tmp_path):
    """Load the root's params.yaml with some keys, given by their full names, changed."""

    def load_changed(changes):
        values = YAML(typ="safe").load(ROOT / "params.yaml")
        for name, value in changes.items():
            *sections, key = name.split(".")
            section = values
            for part in sections:
                section = section[part]
            section[key] = value
        path = tmp_path / "params.yaml"
        YAML(typ="safe").dump(values, path)
        return load_params(path)

    return load_changed


def fault(load, changes):
    """The one line that a change of params.yaml is refused with."""
    with pytest.raises(UserError) as error:
        load(changes)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("folder", [".", "demo", "lspet", "photographs"])
def test_every_recipe_loads(folder):
    params = load_params(ROOT / folder / "params.yaml")
    written = YAML(typ="safe").load(ROOT / folder / "params.yaml")
    assert params.model_dump() == written, "each key of the file is used, none is made up"


OWN_SCHEMA = {
    "name": "arms",
    "keypoints": ["r_hand", "l_hand", "neck"],
    "flip_pairs": [["r_hand", "l_hand"]],
    "bones": [["r_hand", "neck"], ["l_hand", "neck"]],
    "groups": {"hands": ["r_hand", "l_hand"]},
}


@pytest.mark.parametrize(
    ("written", "schema"),
    [("mpii", MPII), ("coco", COCO), (OWN_SCHEMA, KeypointSchema.from_dict(OWN_SCHEMA))],
    ids=["mpii", "coco", "own"],
)
def test_a_schema_is_a_name_or_all_of_its_keys(load, tmp_path, written, schema):
    params = load({"data.schema": written})
    assert params.data.keypoint_schema == schema
    YAML(typ="safe").dump(params.model_dump(mode="json"), tmp_path / "again.yaml")
    assert load_params(tmp_path / "again.yaml") == params


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ("lsp", "data.schema: must be mpii, coco or a mapping of a schema's keys (got 'lsp')"),
        (None, "data.schema: must be mpii, coco or a mapping of a schema's keys (got None)"),
        ({"parts": 1}, "data.schema.parts: unknown key; remove it or fix its spelling"),
        ({"keypoints": "r_hand"}, "data.schema.keypoints: must be a list (got 'r_hand')"),
        ({"keypoints": ["neck", 7]}, "data.schema.keypoints.1: Input should be a valid string"),
        ({"bones": [["neck", "foot"]]}, "data.schema: foot: not among the keypoints"),
        ({"groups": {"neck, head": ["neck"]}}, "data.schema: 'neck, head': names are letters"),
        ({"groups": {"total": ["neck"]}}, "data.schema: 'total': names are letters"),
        ({"groups": {"feet": []}}, "data.schema: each group, and the total, needs a keypoint"),
    ],
    ids=str,
)
def test_a_wrong_schema_is_one_line(load, changed, line):
    written = OWN_SCHEMA | changed if isinstance(changed, dict) else changed
    assert f"params.yaml: {line}" in fault(load, {"data.schema": written})


def test_a_missing_key_of_a_schema_is_named(load):
    written = {key: value for key, value in OWN_SCHEMA.items() if key != "bones"}
    text = fault(load, {"data.schema": written})
    assert "data.schema.bones: missing; add it (src/hourglass/keypoints.py shows" in text


def test_the_recipes_are_the_ones_their_folders_promise():
    recipes = {f: load_params(ROOT / f / "params.yaml") for f in (".", "demo", "lspet")}
    datasets = {folder: params.data.dataset for folder, params in recipes.items()}
    assert datasets == {".": "mpii", "demo": "synthetic", "lspet": "lspet"}
    assert recipes["lspet"].parse.excluded == [
        ["im05001.jpg", "im05400.jpg"],
        ["im08001.jpg", "im09000.jpg"],
    ]
    assert recipes["."].parse.excluded == recipes["demo"].parse.excluded == []


@pytest.mark.parametrize("name", ["spare", "train.learning_rate", "train.augment.scales"])
def test_an_unknown_key_is_named_in_full(load, name):
    assert f"params.yaml: {name}: unknown key" in fault(load, {name: 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.epochs", "ten"),
        ("train.epochs", 1.5),
        ("train.epochs", None),
        ("train.epochs", True),
        ("train.lr", True),
        ("train.lr", [1.0]),
        ("train.lr", {"start": 1.0}),
        ("train.augment.flip", 1),
        ("train.augment.flip", "true"),
        ("train.decay_epochs", 100),
        ("parse.excluded", "a.jpg"),
        ("parse.excluded", None),
        ("train.init_weights", None),
        ("predict.flip_test", 0),
        ("predict.num_refinements", "1"),
        ("data.mirror", 7),
        ("data.synthetic", 5),
        ("model", None),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(load, name, value):
    text = "must hold keys" if name in ("model", "data.synthetic") else "Input should be a valid"
    assert f"params.yaml: {name}: {text}" in fault(load, {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.folder", ""),
        ("data.synthetic.num_train", 0),
        ("parse.excluded", [["b", "a"]]),
        ("parse.excluded", [["a"]]),
        ("parse.excluded", [["a", "b"], ["a", "b", "c"]]),
        ("parse.max_invalid_fraction", 1.01),
        ("shard.num_train_shards", 0),
        ("shard.num_train_shards", 10_000),  # the names have four digits
        ("shard.crop_size", -1),
        ("shard.crop_size", 4),
        ("shard.crop_size", 31),
        ("shard.scale_range", 1.0),
        ("shard.rotation_range", 181),
        ("shard.jpeg_quality", 0),
        ("shard.jpeg_quality", 101),
        ("model.num_channels", 6),  # bottlenecks halve them, the stem quarters them
        ("model.num_stacks", 0),
        ("train.lr", 0),
        ("train.lr", -1e-3),
        ("train.seed", -1),
        ("train.seed", 2**31),
        ("train.schedule", "cosin"),
        ("train.decay_factor", 1.0),
        ("train.sigma", 0),
        ("train.augment.scale", 1.0),
        ("train.augment.colour", -0.1),
        ("train.augment.half_body", 1.01),
        ("train.augment.occluders", -0.1),
        ("train.precision", "float16"),
        ("predict.decode", "mean"),
        ("predict.precision", "float64"),
        ("predict.batch_size", 0),
        ("report.pictures", "some"),
        ("report.pictures", True),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_was_given(load, name, value):
    text = fault(load, {name: value})
    assert f"params.yaml: {name}: " in text
    assert text.endswith(f"(got {value!r})")


def test_a_bad_item_of_a_list_is_named_by_its_place(load):
    assert "train.decay_epochs.1: " in fault(load, {"train.decay_epochs": [3, 0]})
    assert "parse.excluded.0.1: " in fault(load, {"parse.excluded": [["a", 7]]})
    assert "parse.excluded.1: " in fault(load, {"parse.excluded": [["a", "b"], "c"]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["train.lr", "train.weight_decay", "shard.scale_range"])
def test_what_is_not_a_finite_number_is_refused(load, name, value):
    assert f"params.yaml: {name}: " in fault(load, {name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("shard.crop_size", 0), ("shard.crop_size", 32), ("train.clip_norm", 0)]
)
def test_the_edge_of_a_range_is_in_it(load, name, value):
    section, key = name.split(".")
    assert getattr(getattr(load({name: value}), section), key) == value


@pytest.mark.parametrize("name", ["model", "train.augment", "predict.decode"])
def test_a_missing_section_or_key_is_named_in_full(tmp_path, name):
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    *sections, key = name.split(".")
    section = values
    for part in sections:
        section = section[part]
    del section[key]
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump(values, path)
    with pytest.raises(UserError, match=rf"params\.yaml: {name}: missing; add it"):
        load_params(path)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("lr", "7e-4", 7e-4),
        ("lr", "+7E-4", 7e-4),
        ("lr", ".5", 0.5),
        ("lr", "010.5", 10.5),
        ("epochs", "010", 10),
        ("epochs", "0o10", 8),
        ("epochs", "0x10", 16),
        ("epochs", "0b11", 3),
        ("epochs", "1_000", 1_000),
        ("epochs", "+7", 7),
        ("deterministic", "True", True),
        ("init_weights", "'7e-4'", "7e-4"),
        ("init_weights", "1:30", "1:30"),
        ("init_weights", "0o8", "0o8"),
        ("init_weights", "yes", "yes"),
        ("init_weights", "off", "off"),
        ("init_weights", "nan", "nan"),
        ("init_weights", "run # 2", "run"),
    ],
)
def test_a_value_means_what_it_means_to_dvc(tmp_path, key, text, value):
    recipe = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(rf"^(  {key}:) .*", rf"\1 {text}", recipe, count=1, flags=re.M))
    ours, dvcs = getattr(load_params(path).train, key), load_yaml(path)["train"][key]
    assert ours == dvcs == value
    assert type(ours) is type(dvcs) is type(value)


@pytest.mark.parametrize("text", ["run", "7e-4", "1e999", "infinity", "nan", "12"])
def test_other_strings_stay_strings(load, text):
    assert load({"train.init_weights": text}).train.init_weights == text
    assert "train.lr: " in fault(load, {"train.lr": text})


@pytest.mark.parametrize("crop_size", [384, 0])
@pytest.mark.parametrize(
    ("asked", "value", "stored"),
    [
        ("train.augment.scale", 0.26, "shard.scale_range"),
        ("train.augment.rotation", 31, "shard.rotation_range"),
    ],
)
def test_augmentation_beyond_the_stored_crop_is_refused(load, asked, value, stored, crop_size):
    text = fault(load, {asked: value, "shard.crop_size": crop_size})
    assert f"{asked} {value:g} asks for pixels that the shards do not hold" in text
    assert f"raise {stored} from" in text
    assert load({asked: value, stored: value}), "the fix that the line names"


def test_half_bodies_are_refused_where_no_keypoint_is_known_to_be_lower(load):
    text = fault(load, {"train.augment.half_body": 0.3, "data.schema": OWN_SCHEMA})
    assert text.endswith(
        "train.augment.half_body needs two keypoints of each half of the body; of arms's 3, 0 are "
        "of the lower half by their names (docs/own_data.md): set it to 0, or rename keypoints of "
        "data.schema"
    )
    one_foot = OWN_SCHEMA | {"keypoints": ["r_hand", "l_hand", "neck", "foot"]}
    assert "of arms's 4, 1 are" in fault(
        load, {"train.augment.half_body": 0.3, "data.schema": one_foot}
    )
    two_feet = OWN_SCHEMA | {"keypoints": ["r_hand", "l_hand", "neck", "foot", "toe"]}
    assert load({"train.augment.half_body": 0.3, "data.schema": two_feet})
    assert load({"train.augment.half_body": 0, "data.schema": OWN_SCHEMA})


def test_no_epochs_are_for_a_network_to_start_from(load):
    text = fault(load, {"train.epochs": 0})
    assert "train: epochs 0 scores the network that init_weights names: name one" in text
    assert load({"train.epochs": 0, "train.init_weights": "shipped"}).train.epochs == 0
    assert "train.epochs: " in fault(load, {"train.epochs": -1, "train.init_weights": "shipped"})


def test_xla_and_determinism_exclude_each_other(load):
    assert "train: xla has no deterministic max pooling" in fault(load, {"train.xla": True})
    assert load({"train.xla": True, "train.deterministic": False}).train.xla


@pytest.mark.parametrize("size", [255, 96, 32])
def test_an_input_that_cannot_be_halved_at_every_level_is_refused(load, size):
    text = fault(load, {"model.input_size": size})
    assert f"model: input_size {size} must be a multiple of 64 for num_levels 4" in text


def test_the_step_of_the_input_size_follows_the_levels(load):
    assert load({"model.input_size": 96, "model.num_levels": 3}).model.input_size == 96


def test_a_long_value_is_cut(load):
    assert len(fault(load, {"train.lr": [[[["long"] * 9] * 9] * 9] * 9})) < 300


def test_several_faults_are_counted(load):
    text = fault(load, {"train.lr": 0, "train.epochs": -1, "model.depth": 1})
    assert text.endswith("(and 2 more)")


def test_params_do_not_change(load):
    params = load({})
    with pytest.raises(ValueError, match="frozen"):
        params.train.lr = 1.0


@pytest.mark.parametrize(
    "text",
    ["", "[]", "train: {", "a: b: c", "!!python/object:os.system {}", "!!bool 7", "!!int ''",
     "? [[a]]", "? {a: 1}", "1: {}", "\t", ">\n\n   \n a"],
)  # fmt: skip
def test_a_file_that_is_no_recipe_is_one_line(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml: ") as error:
        load_params(path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("data", [b"\xff\xfe\xfa", b"data: {folder: 2024-13-45}"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, data):
    path = tmp_path / "params.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"params\.yaml: cannot be read: ") as error:
        load_params(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: not found; run this in a folder"):
        load_params(tmp_path / "params.yaml")


MIXED = {"data.dataset": "mixed"}
SETS = MIXED | {"data.sets": {"a": "lspet"}}
NEEDED = "data: sets needs names and datasets where dataset is mixed"


def test_several_sets_are_named_with_their_datasets(load):
    data = load(MIXED | {"data.sets": {"a": "folder", "b": "lspet", "c": "lspet"}}).data
    assert list_datasets(data.dataset, data.sets) == ("folder", "lspet")
    assert list_datasets("mpii", {}) == ("mpii",)


def test_another_dataset_has_no_sets(load):
    augment = {"train.repeats": {"a": 2}, "train.augment.rotations": {"a": 20}}
    params = load(SETS | augment | {"data.dataset": "folder"})
    assert (params.data.sets, params.train.repeats, params.train.augment.rotations) == ({}, {}, {})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data.dataset": "mixed"}, NEEDED),
        ({**MIXED, "data.sets": {"a": "mixed"}}, "data: sets: mixed is no dataset of a set"),
        ({**MIXED, "data.sets": {"a/b": "mpii"}}, "data.sets.a/b.[key]: String should match"),
        (SETS | {"train.repeats": {"b": 2}}, "train.repeats: 'b' is no set of data.sets"),
        (SETS | {"train.augment.rotations": {"b": 2}}, "train.augment.rotations: 'b' is no set"),
    ],
)
def test_sets_that_do_not_fit_are_one_line(load, changes, line):
    assert line in fault(load, changes)


def test_the_shards_cover_the_rotation_of_each_set(load):
    line = fault(load, SETS | {"train.augment.rotations": {"a": 170.0}})
    assert "train.augment.rotations.a 170 asks for pixels that the shards do not hold" in line

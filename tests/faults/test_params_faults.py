"""A params.yaml with a wrong key, type, range or section, or that is no YAML; for every stage."""

import re

import pytest

from helpers.paths import ROOT

RECIPE = (ROOT / "params.yaml").read_text()
TWICE = "cannot be read: HERE: while constructing a mapping, found duplicate key "
SKITTLES = "{name: skittles, keypoints: [a, b], flip_pairs: [], bones: [], groups: {a: [a]}}"
STAGES = ("download", "parse", "shard", "train", "predict", "report")


@pytest.fixture
def refuse(run_stage, tmp_path):
    """A function that runs a stage with a params.yaml and gives its one line; it did no work.

    HERE stands for the place in the file.
    """

    def run(content, stage="parse"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "params.yaml").write_bytes(data)
        code, out, err = run_stage(stage)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("error: params.yaml: ") and len(err) < 300
        assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
        line = err.removeprefix("error: params.yaml: ").strip()
        return re.sub(r"line \d+ column \d+", "HERE", line)

    return run


def with_value(key, value):
    """The recipe with the value of one key, the first of its name, replaced."""
    text, count = re.subn(
        rf"^(\s*{key}:) .*", lambda m: f"{m[1]} {value}", RECIPE, count=1, flags=re.M
    )
    assert count == 1
    return text


def without(pattern):
    text, count = re.subn(pattern, "", RECIPE, count=1, flags=re.M | re.S)
    assert count == 1
    return text


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_reads_it_before_any_work(refuse, stage):
    line = refuse(RECIPE + "spare: 1\n", stage)
    assert line == "spare: unknown key; remove it or fix its spelling"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (RECIPE.replace("  lr:", "  learning_rate:"), "train.learning_rate: unknown key"),
        (RECIPE.replace("    scale: 0.25", "    scales: 0.25"), "train.augment.scales: unknown"),
        (RECIPE.replace("  lr:", "  lr_decay: 1\n  lr:"), "train.lr_decay: unknown key; remove it"),
        (RECIPE + '"two\\nlines": 1\n', "two lines: unknown key; remove it"),
        (RECIPE + "1: 2\n", "1: Keys should be strings"),
        (without(r"^model:.*?(?=^train:)"), "model: missing; add it"),
        (without(r"^  augment:.*?(?=^  precision:)"), "train.augment: missing; add it"),
        (without(r"^model:.*?(?=^train:)") + "model: 5\n", "model: must hold keys (got 5)"),
        (without(r"^  input_size:[^\n]*\n"), "model.input_size: missing; add it"),
        (RECIPE + "train:\n  lr: 1.0\n", TWICE + '"train"'),
        (RECIPE.replace("  lr:", "  lr: 1.0\n  lr:"), TWICE + '"lr"'),
    ],
    ids=["misspelt", "misspelt, nested", "unknown", "a key of two lines", "a number for a key",
         "section missing", "nested section missing",
         "a number for a section", "key missing", "section twice", "key twice"],
)  # fmt: skip
def test_a_wrong_key_is_named(refuse, content, line):
    assert refuse(content).startswith(line)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("epochs", "ten", "train.epochs: Input should be a valid integer (got 'ten')"),
        ("epochs", "1.5", "train.epochs: Input should be a valid integer"),
        ("epochs", "1e2", "train.epochs: Input should be a valid integer"),
        ("epochs", "true", "train.epochs: Input should be a valid integer (got True)"),
        ("epochs", "", "train.epochs: Input should be a valid integer (got None)"),
        ("epochs", "2024-01-01", "train.epochs: Input should be a valid integer"),
        ("epochs", "!!binary aGVsbG8=", "train.epochs: Input should be a valid integer"),
        ("epochs", "x" * 100_000, "train.epochs: Input should be a valid integer (got 'xxx"),
        ("lr", "fast", "train.lr: Input should be a valid number (got 'fast')"),
        ("lr", "[1.0e-3]", "train.lr: Input should be a valid number (got [0.001])"),
        ("lr", "'7e-4'", "train.lr: Input should be a valid number (got '7e-4')"),
        ("xla", "1", "train.xla: Input should be a valid boolean (got 1)"),
        ("mirror", "7", "data.mirror: Input should be a valid string (got 7)"),
        ("decay_epochs", "100", "train.decay_epochs: Input should be a valid list (got 100)"),
        ("decay_epochs", "[3, no]", "train.decay_epochs.1: Input should be a valid integer"),
        ("epochs", "1:30", "train.epochs: Input should be a valid integer (got '1:30')"),
        ("epochs", "!!int [1]", "cannot be read: HERE: expected a scalar node"),
        ("lr", "!!float {a: 1}", "cannot be read: HERE: expected a scalar node"),
        ("lr", "1:30.5", "train.lr: Input should be a valid number (got '1:30.5')"),
        ("xla", "yes", "train.xla: Input should be a valid boolean (got 'yes')"),
        ("xla", "!!bool 7", "cannot be read: '7'"),
    ],
    ids=["word for a count", "fraction for a count", "exponent for a count", "bool for a count",
         "nothing for a count", "date for a count", "bytes for a count", "100 kB for a count",
         "word for a number", "list for a number", "number in quotes", "number for a bool",
         "number for a URL", "number for a list", "word in a list", "sexagesimal",
         "a list called a count", "a mapping called a number",
         "sexagesimal fraction", "yes for a bool", "a number called a bool"],
)  # fmt: skip
def test_a_wrong_type_is_named_with_what_was_given(refuse, key, value, line):
    assert refuse(with_value(key, value)).startswith(line)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (
            "dataset",
            "coco",
            "data.dataset: must be one of folder, lspet, mixed, mpii, synthetic (got",
        ),
        ("schema", "lsp", "data.schema: must be mpii, coco or a mapping of a schema's keys (got"),
        ("schema", "[]", "data.schema: must be mpii, coco or a mapping of a schema's keys (got"),
        ("schema", "{name: a}", "data.schema.keypoints: missing; add it (src/hourglass/keypoints"),
        ("schema", "{name: a}", "data.schema.keypoints: missing; add it (src/hourglass/keypoints"),
        ("folder", "''", "data.folder: String should have at least 1 character"),
        ("num_train", "0", "data.synthetic.num_train: Input should be greater than or equal to 1"),
        (
            "excluded",
            "[[b, a]]",
            "parse.excluded: must hold pairs [first, last] of names, in the or",
        ),
        ("excluded", "[a, b]", "parse.excluded.0: Input should be a valid list (got 'a')"),
        ("excluded", "[[a, 1]]", "parse.excluded.0.1: Input should be a valid string (got 1)"),
        ("excluded", "[[a]]", "parse.excluded: must hold pairs [first, last] of names, in the ord"),
        (
            "max_invalid_fraction",
            "1.01",
            "parse.max_invalid_fraction: Input should be less than or",
        ),
        ("max_invalid_fraction", "-1", "parse.max_invalid_fraction: Input should be greater than"),
        ("num_train_shards", "10_000", "shard.num_train_shards: Input should be less than or"),
        ("crop_size", "31", "shard.crop_size: must be 0, for whole pictures, or at least 32"),
        ("crop_size", "100_000", "shard.crop_size: Input should be less than or equal to 4096"),
        ("jpeg_quality", "101", "shard.jpeg_quality: Input should be less than or equal to 100"),
        ("num_channels", "6", "model.num_channels: Input should be a multiple of 4 (got 6)"),
        ("input_size", "255", "model: input_size 255 must be a multiple of 64 for num_levels 4"),
        ("epochs", "0", "train: epochs 0 scores the network that init_weights names: name one"),
        ("epochs", "-1", "train.epochs: Input should be greater than or equal to 0 (got -1)"),
        ("epochs", "1" * 400, "train.epochs: Input should be less than 2147483648 (got 111"),
        ("epochs", "1" * 5_000, "cannot be read: Exceeds the limit"),
        ("batch_size", "-16", "train.batch_size: Input should be greater than or equal to 1"),
        ("max_batch_per_device", "-1", "train.max_batch_per_device: Input should be greater than"),
        (
            "pictures",
            "some",
            "report.pictures: Input should be 'free', 'all' or 'none' (got 'some')",
        ),
        ("num_workers", "-1", "cluster.num_workers: Input should be greater than or equal to 0"),
        ("lr", "0", "train.lr: Input should be greater than 0 (got 0)"),
        ("lr", ".nan", "train.lr: Input should be "),
        ("lr", ".inf", "train.lr: Input should be a finite number (got inf)"),
        ("decay_factor", "1.0", "train.decay_factor: Input should be less than 1 (got 1.0)"),
        ("schedule", "cosin", "train.schedule: Input should be 'constant', 'cosine', 'steps' or"),
        ("precision", "float16", "train.precision: Input should be 'float32', 'mixed_bfloat16' "),
        ("scale_range", "0.2", "train.augment.scale 0.25 asks for pixels that the shards do not"),
        ("xla", "true", "train: xla has no deterministic max pooling on GPUs: set xla or "),
        ("rotation_range", "20", "train.augment.rotation 30 asks for pixels that the shards do"),
        ("half_body", "1.1", "train.augment.half_body: Input should be less than or equal to 1"),
        ("occluders", "-1", "train.augment.occluders: Input should be greater than or equal to 0"),
    ],
    ids=lambda value: value[:12] if len(value) < 21 or value.isdecimal() else "",
)
def test_a_value_out_of_range_is_named_with_what_was_given(refuse, key, value, line):
    assert refuse(with_value(key, value)).startswith(line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "holds no sections; add them"),
        ("# only a comment\n", "holds no sections; add them"),
        ("train", "holds no sections; add them"),
        ("- train\n- model\n", "holds no sections; add them"),
        ("train: {lr: 1", "cannot be read: HERE: while parsing a flow mapping, expected"),
        (RECIPE.replace("  epochs", "\tepochs"), "cannot be read: HERE: while scanning"),
        (RECIPE.replace("  epochs", " epochs"), "cannot be read: "),
        (RECIPE[:1_000], "shard.rotation_range: missing; add it|"),
        (RECIPE + "---\n" + RECIPE, "cannot be read: HERE: expected a single document"),
        ("!!python/object/apply:os.system [id]", "cannot be read: HERE: could not determine"),
        ("[" * 600 + "]" * 600, "cannot be read: maximum recursion depth exceeded"),
        ("a: &a {b: *a}", "cannot be read: HERE: an alias is not"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "cannot be read: HERE: an alias is not"),
        ("? [a, b]\n: 1", "data: missing; add it"),
        (
            with_value("schema", SKITTLES).replace("half_body: 0", "half_body: 1"),
            "train.augment.half_body needs two keypoints of each half of the body; of skittles's 2",
        ),
        (RECIPE.encode("utf-16"), "cannot be read: not UTF-8 at byte 0"),
        (RECIPE.encode() + b"\xff", "cannot be read: not UTF-8 at byte "),
        (RECIPE.encode() + b"\0", "cannot be read: unacceptable character #x0000"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read: not UTF-8 at byte 0"),
        ('{"data": 1}', "data: must hold keys (got 1)"),
    ],
    ids=["empty", "a comment", "a word", "a list", "cut in a mapping", "tabs", "wrong indent",
         "cut short", "two documents", "a Python object", "nested without end", "holds itself",
         "aliases that multiply", "a list for a key", "no body", "UTF-16", "Latin-1", "NUL",
         "a picture", "JSON of something else"],
)  # fmt: skip
def test_what_is_no_recipe_is_one_line(refuse, content, line):
    assert refuse(content).startswith(tuple(line.split("|")))


def test_a_missing_file_says_where_to_run(run_stage, tmp_path):
    code, out, err = run_stage("parse")
    assert (code, out) == (1, "")
    assert err == ("error: params.yaml: not found; run this in a folder that has a params.yaml\n")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_its_place(run_stage, tmp_path):
    (tmp_path / "params.yaml").mkdir()
    code, out, err = run_stage("parse")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("error: params.yaml: cannot be read: Is a directory")


@pytest.mark.parametrize("text", ["7e-4", "7E-4", "+7e-4"])
def test_a_number_needs_no_point(run_stage, tmp_path, text):
    """The stage goes on to its own work, and misses the raw files."""
    (tmp_path / "params.yaml").write_text(with_value("lr", text))
    code, _, err = run_stage("parse")
    assert (code, err.count("\n")) == (1, 1) and "members.json" in err

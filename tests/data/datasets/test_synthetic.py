import numpy as np
import pytest

from helpers.shards import shard_annotations
from hourglass.data.keypoint_names import canonical_name
from hourglass.data.parse import parse_dataset
from hourglass.data.tfrecords.reader import open_split, read_truth
from hourglass.keypoints import COCO, MPII, KeypointSchema
from hourglass.utils.errors import UserError

OWN = KeypointSchema(
    name="own",
    keypoints=("nose", "thorax", "r_wrist", "left_ear"),
    flip_pairs=(),
    bones=(("nose", "thorax"),),
    groups={"hand": ("r_wrist",)},
)


@pytest.mark.parametrize("schema", [COCO, OWN], ids=lambda schema: schema.name)
def test_the_same_figures_have_the_keypoints_of_any_known_schema(raw_folder, persons, schema):
    others, invalid, *_ = parse_dataset(raw_folder, "synthetic", schema)
    assert invalid == []
    shared = [
        name
        for name in schema.keypoints
        if canonical_name(name) in map(canonical_name, MPII.keypoints)
    ]
    for split in ("train", "validation"):
        for person, other in zip(persons[split], others[split], strict=True):
            assert other.joints.shape == (schema.num_keypoints, 2)
            assert (other.image, other.scale, other.head_size) == (
                person.image, person.scale, person.head_size,
            )  # fmt: skip
            for name in shared:
                k = [canonical_name(n) for n in MPII.keypoints].index(canonical_name(name))
                place = other.joints[schema.index(name)]
                np.testing.assert_array_equal(place, person.joints[k])
    labels = np.mean([p.keypoints_visible for p in others["train"]], axis=0)
    assert labels.min() > 0.4, "a nose is not seen from behind"


def test_shards_carry_the_keypoints_of_another_schema(raw_folder, tiny_params, tmp_path):
    splits, *_ = parse_dataset(raw_folder, "synthetic", COCO)
    archive = raw_folder / "images.zip"
    shard_annotations(tmp_path, splits, archive, tiny_params.shard, COCO)
    split = open_split(tmp_path, "validation", 32)
    assert split.schema == COCO
    truth, people = read_truth(split), splits["validation"]
    labelled = np.stack([person.keypoints_visible for person in people])
    np.testing.assert_array_equal(truth["keypoints_visible"], labelled)
    joints = np.stack([person.joints for person in people])
    np.testing.assert_allclose(truth["joints"][labelled], joints[labelled], atol=1e-3)


def test_an_unknown_keypoint_is_one_line(raw_folder):
    schema = KeypointSchema("own", ("nose", "tail"), (), (), {})
    line = r"params\.yaml: data\.schema: 'tail' is no keypoint of drawn figures, MPII or COCO; corr"
    with pytest.raises(UserError, match=line):
        parse_dataset(raw_folder, "synthetic", schema)

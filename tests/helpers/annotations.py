"""Raw annotation records as tests want them: MPII's JSON form, MATLAB structs, LSPET's array."""

import io

import numpy as np
from scipy.io import savemat

from hourglass.annotations.checks import check_records


def make_record(**changes):
    joints = [[10.0 * k + 1, 5.0 * k + 1] for k in range(16)]
    record = {"image": "a.jpg", "joints": joints, "joints_vis": [1] * 16}
    return {**record, "center": [80.5, 40.0], "scale": 1.25, **changes}


def with_joint(joint, place, **changes):
    record = make_record(**changes)
    record["joints"][joint] = place
    return record


def reason_of(record, image_names=None):
    persons, rejects = check_records([record], image_names)
    assert len(persons) + len(rejects) == 1
    return rejects[0].reason if rejects else None


def assert_same(person, other):
    for name in ("image", "scale", "head_size", "head_source"):
        assert getattr(person, name) == getattr(other, name)
    for name in ("joints", "joints_vis", "center"):
        mine, theirs = getattr(person, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def struct_array(structs):
    """A MATLAB struct array: every struct has every field, [] where it has no value."""
    fields = list(dict.fromkeys(key for struct in structs for key in struct))
    array = np.empty((1, len(structs)), dtype=[(field, object) for field in fields])
    for index, struct in enumerate(structs):
        array[0, index] = tuple(struct.get(field, np.zeros((0, 0))) for field in fields)
    return array


def make_point(joint, x, y, **visible):
    return {"id": np.uint8(joint), "x": x, "y": y, **visible}


def make_rect(points, scale=2.5, objpos=(100, 200)):
    return {
        "x1": 1.0,
        "annopoints": {"point": points},
        "scale": scale,
        "objpos": dict(zip("xy", map(np.uint16, objpos), strict=True)),
    }


def make_mat(pictures, img_train=None):
    """Bytes of a .mat of [(picture's name, annorect)]."""
    annolist = [{"image": {"name": name}, "annorect": rect} for name, rect in pictures]
    release = {"annolist": struct_array(annolist), "version": "1.2"}
    img_train = [1] * len(pictures) if img_train is None else img_train
    release["img_train"] = np.array([img_train], np.uint8)
    file = io.BytesIO()
    savemat(file, {"RELEASE": release}, do_compression=True)
    return file.getvalue()


EMPTY = np.zeros((0, 0))

NECK_AND_HEAD = [make_point(8, 50.25, 20.5), make_point(9, 50.25, -3.0)]


def mat_of(**variables):
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


def make_lspet(num_pictures, seed=0):
    rng = np.random.default_rng(seed)
    joints = rng.uniform(10, 150, (14, 3, num_pictures))
    joints[:, 2] = 1
    return joints

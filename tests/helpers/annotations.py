"""Raw annotation records as tests want them: MPII's JSON form, MATLAB structs, LSPET's array."""

import io
import zipfile

import numpy as np
from scipy.io import savemat

from hourglass.data.validation import check_records
from hourglass.keypoints import COCO


def make_record(**changes):
    joints = [[10.0 * k + 1, 5.0 * k + 1] for k in range(16)]
    record = {"image": "a.jpg", "joints": joints, "joints_vis": [1] * 16}
    return {**record, "center": [80.5, 40.0], "scale": 1.25, **changes}


def with_joint(joint, place, **changes):
    record = make_record(**changes)
    record["joints"][joint] = place
    return record


def reason_of(record, image_names=None):
    persons, invalid = check_records([record], image_names)
    assert len(persons) + len(invalid) == 1
    return invalid[0].reason if invalid else None


def assert_same(person, other):
    for name in ("image", "scale", "head_size", "head_source"):
        assert getattr(person, name) == getattr(other, name)
    for name in ("joints", "keypoints_visible", "center"):
        mine, theirs = getattr(person, name), getattr(other, name)
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def zip_images(names):
    """The bytes of an images.zip of these pictures."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(f"images/{name}", b"a picture")
    return buffer.getvalue()


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


COCO_SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9],
    [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
]  # fmt: skip


def make_keypoints(seed=0, flags=(2,) * 17):
    """51 numbers as COCO writes them: whole pixels, 0 0 0 where nothing is labelled."""
    places = np.random.default_rng(seed).integers(20, 120, (17, 2)).tolist()
    triples = ([*xy, v] if v else [0, 0, 0] for xy, v in zip(places, flags, strict=True))
    return [number for triple in triples for number in triple]


def make_annotation(number, **changes):
    """One of COCO's persons, of picture `number`."""
    keypoints = changes.get("keypoints", make_keypoints(number))
    annotation = {
        "segmentation": [[20.5, 10.25, 120.0, 10.25, 120.0, 130.75]],
        "num_keypoints": sum(v in (1, 2) for v in keypoints[2::3]),
        "area": 5012.75,
        "iscrowd": 0,
        "keypoints": keypoints,
        "image_id": number,
        "bbox": [19.5, 10.25, 102.5, 120.5],
        "category_id": 1,
        "id": 900_100_000_000 + number,
    }
    return {**annotation, **changes}


def make_coco(annotations, num_images):
    """A file with the keys of person_keypoints_val2017.json; the pictures are 1.jpg, 2.jpg, ..."""
    images = [
        {
            "license": 4,
            "file_name": f"{number}.jpg",
            "coco_url": f"http://localhost/{number}.jpg",
            "height": 140,
            "width": 150,
            "date_captured": "2013-11-14 17:02:52",
            "flickr_url": f"http://localhost/{number}_z.jpg",
            "id": number,
        }
        for number in range(1, num_images + 1)
    ]
    category = {"supercategory": "person", "id": 1, "name": "person"}
    return {
        "info": {"description": "COCO 2017 Dataset", "version": "1.0", "year": 2017},
        "licenses": [{"url": "http://localhost", "id": 4, "name": "Attribution License"}],
        "images": images,
        "annotations": annotations,
        "categories": [{**category, "keypoints": list(COCO.keypoints), "skeleton": COCO_SKELETON}],
    }


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

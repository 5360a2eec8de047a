"""A data folder with head sizes, its center and scale moved as those of the lspet dataset are."""

from hourglass.data.datasets.lspet import roughen_person
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.person import SPLITS
from hourglass.data.validation import check_records
from hourglass.utils.files import write_json


def write_rough_copy(source, folder):
    """Write train.json and validation.json of `source`, roughened, beside a link to its pictures.

    Center and scale of `source` must be those of the joints' box, as `lspet.roughen_person` says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "images").exists():
        (folder / "images").symlink_to((source / "images").resolve())
    for split in SPLITS:
        persons, invalid = check_records(read_mpii_json(source / f"{split}.json", split), None)
        assert not invalid, invalid[0]
        records = [as_raw_record(roughen_person(person)) for person in persons]
        write_json(folder / f"{split}.json", records)
    return folder


def as_raw_record(person):
    """MPII's JSON form, 1-based px."""
    return {
        "image": person.image,
        "joints": (person.joints + 1).tolist(),
        "joints_vis": person.keypoints_visible.astype(int).tolist(),
        "center": (person.center + 1).tolist(),
        "scale": person.scale,
        "head_size": person.head_size,
    }

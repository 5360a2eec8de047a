"""Drawn figures as a dataset: `hourglass.data.synthetic` draws them."""

from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.data.datasets.base import ANNOTATIONS, Dataset, register
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.raw_records import RawSplit
from hourglass.data.synthetic.pictures import FIGURE, write_dataset
from hourglass.keypoints import KeypointSchema

if TYPE_CHECKING:
    from hourglass.config import DataParams


@register
class Synthetic(Dataset):
    """Drawn people with exact keypoints, as many as `data.synthetic` asks for."""

    name = "synthetic"
    title = "drawn figures"
    terms = "drawn by this program, under its MIT licence"
    network_terms = "MIT, as the program that drew their data"
    is_free = True
    recipe = "demo"
    scaled_by_head = True

    def fetch(self, data: "DataParams", folder: Path) -> None:
        """Draw the pictures."""
        write_dataset(folder, data.synthetic)

    def read_splits(
        self, raw: Path, image_names: frozenset[str], schema: KeypointSchema
    ) -> tuple[RawSplit, RawSplit]:
        """The records that were drawn."""
        paths = [raw / name for name in ANNOTATIONS.values()]
        train, validation = map(read_mpii_json, paths, ANNOTATIONS)
        return RawSplit(train, FIGURE), RawSplit(validation, FIGURE)

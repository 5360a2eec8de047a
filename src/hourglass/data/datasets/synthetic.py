"""Drawn figures as a dataset: `hourglass.data.synthetic` draws them."""

from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.data.datasets.base import ANNOTATIONS, Dataset, register
from hourglass.data.datasets.mpii import read_mpii_json
from hourglass.data.synthetic.pictures import write_dataset

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

    def read_splits(self, raw: Path, image_names: frozenset[str]) -> tuple[list, list]:
        """The records that were drawn."""
        train, validation = (read_mpii_json(raw / n, split) for split, n in ANNOTATIONS.items())
        return train, validation

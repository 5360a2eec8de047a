"""Several datasets in one run: the sets of `data.sets`, each read in its own form."""

from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.config import MIXED
from hourglass.data.datasets.base import Dataset, find_dataset, register
from hourglass.data.download import fetch_dataset
from hourglass.data.raw_records import RawSplit
from hourglass.keypoints import KeypointSchema
from hourglass.utils.files import write_json

if TYPE_CHECKING:
    from hourglass.config import DataParams


@register
class Mixed(Dataset):
    """The sets of `data.sets`. The name of a picture begins with its set's name and a slash.

    The raw files of a set lie in a folder of its name. Of a set of the dataset `folder` the
    pictures and annotations are taken from the folder of its name in `data.folder`.
    """

    name = MIXED
    title = "several datasets"
    terms = "on the terms of each dataset"
    recipe = "photographs"
    images = "archives.json"

    def fetch(self, data: "DataParams", folder: Path) -> None:
        """Fetch each set, and write which archive holds its pictures."""
        for name, dataset in data.sets.items():
            own = {"dataset": dataset, "folder": str(Path(data.folder, name)), "sets": {}}
            fetch_dataset(data.model_copy(update=own), folder / name)
        archives = {name: f"{name}/{find_dataset(of).images}" for name, of in data.sets.items()}
        write_json(folder / self.images, archives)

    def read_splits(
        self, raw: Path, image_names: frozenset[str], schema: KeypointSchema
    ) -> tuple[RawSplit, RawSplit]:
        """Not of its own: `data.parse.parse_sets` reads set by set."""
        raise NotImplementedError

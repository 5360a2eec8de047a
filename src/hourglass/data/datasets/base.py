"""A dataset is a class with its files, its terms and its reader.

Each file of this folder registers one. A new file is a new dataset.
"""

import importlib
import io
import pkgutil
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hourglass.data import tar_index
from hourglass.data.http import RemoteFile, fetch_file
from hourglass.data.person import Person
from hourglass.data.raw_records import RawSplit
from hourglass.data.zip_files import DOWNLOAD_AGAIN
from hourglass.keypoints import KeypointSchema
from hourglass.utils.errors import UserError, one_line

if TYPE_CHECKING:
    from hourglass.config import DataParams

# By split, in every dataset that has its annotations in MPII's JSON form.
ANNOTATIONS = {"train": "train.json", "validation": "validation.json"}


class Dataset(ABC):
    """A dataset: where its files are from, what they may be used for, how they are read.

    Attributes:
        name: its value of `data.dataset`, and the folder of its raw files.
        title: its name within a sentence.
        terms: what its pictures may be used for.
        network_terms: what a network that was trained on it may be used for.
        is_free: whether its pictures may be passed on.
        recipe: the folder whose params.yaml is a recipe for it.
        images: the archive of the raw files that holds the pictures.
        files: what `fetch` downloads.
        scaled_by_head: whether `scale` is made of the head's size, as MPII's is: head sizes are
            then 25 x `scale`, else the head's labels tell them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    terms: ClassVar[str]
    network_terms: ClassVar[str] = "for what the data allow that they were trained on"
    is_free: ClassVar[bool] = False
    recipe: ClassVar[str] = "lspet"
    images: ClassVar[str] = "images.zip"
    files: tuple[RemoteFile, ...] = ()
    scaled_by_head: ClassVar[bool] = False

    def fetch(self, data: "DataParams", folder: Path) -> None:
        """Make `folder` hold the raw files; a file that is there and verifies is kept.

        A `.tar.gz` gets an index beside it, since a gzip can only be read from its start.

        Raises:
            UserError: a file cannot be had.
        """
        for remote in self.files:
            fetch_file(remote.at_mirror(data.mirror), folder)
            if remote.name.endswith(".tar.gz"):
                tar_index.index_archive(folder / remote.name, remote.md5)

    @abstractmethod
    def read_splits(
        self, raw: Path, image_names: frozenset[str], schema: KeypointSchema
    ) -> tuple[RawSplit, RawSplit]:
        """Read the records of train and validation, with the keypoints of the dataset.

        A record is {image, joints [K][2], joints_vis [K], center [2], scale}, in MPII's JSON form:
        px from 1 on, `scale` the person's height / 200 px. `head_size`, px, may be added. An
        `LabelledPerson`, `UnusableRecord` or `PassedOver` may stand in a record's place.

        Args:
            raw: the folder that `fetch` filled.
            image_names: the pictures of the archive to use.
            schema: of the run, for files that name their own keypoints.

        Raises:
            UserError: a file is missing or cannot be read as a whole.
        """

    def roughen(self, person: Person) -> Person:
        """The person with a rougher center and scale, where those of the labels tell too much."""
        return person

    def advise(self, data: "DataParams") -> str:
        """The advice about invalid records; {split} stands for the split's name."""
        return "fix the annotations"


DATASETS: dict[str, Dataset] = {}


def register(dataset: type[Dataset]) -> type[Dataset]:
    """Decorate a class of a dataset: `find_dataset` then finds it by its name."""
    DATASETS[dataset.name] = dataset()
    return dataset


def load_datasets() -> dict[str, Dataset]:
    """All datasets by name: those of this folder's files, and what else was registered."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
    return DATASETS


def find_dataset(name: str) -> Dataset:
    """The dataset of a value of `data.dataset`.

    Raises:
        UserError: there is none of this name.
    """
    datasets = load_datasets()
    if name not in datasets:
        raise UserError(
            f"params.yaml: data.dataset: must be one of {', '.join(sorted(datasets))}"
            f" (got {name!r})"
        )
    return datasets[name]


def name_datasets(names: Sequence[str]) -> str:
    """The titles of datasets as a text."""
    titles = {name: dataset.title for name, dataset in load_datasets().items()}
    return ", ".join(titles.get(name, name) for name in names)


def find_network_terms(names: Sequence[str]) -> str:
    """The terms of a network that was trained on the datasets of these names."""
    terms = {name: dataset.network_terms for name, dataset in load_datasets().items()}
    found = (terms.get(name, Dataset.network_terms) for name in names)
    return "; ".join(dict.fromkeys(found))


def load_mat(content: bytes, name: str, variable: str) -> Any:
    """One variable of a MATLAB file, structs as objects, one-element arrays as their element.

    Args:
        content: the file's bytes.
        name: the file's, for messages.

    Raises:
        UserError: it is no such file.
    """
    from scipy.io import loadmat  # slow to import, and only two readers need it
    from scipy.io.matlab import MatReadError

    # What scipy raised on files with flipped bytes; NameError is a variable it forgets to set.
    faults = (MatReadError, ValueError, TypeError, LookupError, ArithmeticError, NameError)
    try:
        # LSPET's array keeps its three axes, whatever their lengths.
        squeeze = variable == "RELEASE"
        return loadmat(io.BytesIO(content), struct_as_record=False, squeeze_me=squeeze)[variable]
    except (*faults, zlib.error, NotImplementedError, OSError, MemoryError) as error:
        raise UserError(
            f"{name}: no MATLAB file with the variable {variable} ({one_line(error)});"
            f" {DOWNLOAD_AGAIN}"
        ) from None

"""Stage 1: the raw files of the dataset, fetched, drawn or packed, and verified.

params.yaml `data` -> data/raw/<dataset>/
"""

from pathlib import Path

from hourglass.errors import exit_on_user_error
from hourglass.params import load_params
from hourglass.raw.downloads import fetch_dataset


@exit_on_user_error
def main():
    data = load_params().data
    fetch_dataset(data, Path("data/raw") / data.dataset)


if __name__ == "__main__":
    main()

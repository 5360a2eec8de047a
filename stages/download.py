"""Stage 1: the raw files of the dataset, fetched, drawn or packed, and verified.

params.yaml `data` -> data/raw/<dataset>/
"""

from pathlib import Path

from hourglass.archives import fetch_dataset
from hourglass.errors import exit_on_user_error
from hourglass.params import load_params
from hourglass.synthetic import write_dataset


@exit_on_user_error
def main():
    data = load_params().data
    folder = Path("data/raw") / data.dataset
    if data.dataset == "synthetic":
        write_dataset(folder, data.synthetic)
    else:
        fetch_dataset(data, folder)


if __name__ == "__main__":
    main()

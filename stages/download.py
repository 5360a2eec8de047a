"""Fetch, draw or pack the raw files of the dataset, and verify them.

reads   the dataset's files from the web, or those of data.folder; `synthetic` reads nothing
writes  data/raw/<dataset>
params  data
"""

from pathlib import Path

from hourglass.config import load_params
from hourglass.data.download import fetch_dataset
from hourglass.utils.errors import exit_on_user_error, stage_parser


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    data = load_params().data
    fetch_dataset(data, Path("data/raw") / data.dataset)


if __name__ == "__main__":
    main()

"""Parse stage: data/raw/<dataset> to checked persons in data/annotations, and what was left out."""

from pathlib import Path

from hourglass.annotations.checks import check_rejects, summarize_split
from hourglass.annotations.parsing import parse_dataset
from hourglass.annotations.persons import SPLITS, save_persons
from hourglass.errors import exit_on_user_error
from hourglass.files import exclusive_lock
from hourglass.params import load_params
from hourglass.rejects import write_rejects


@exit_on_user_error
def main():
    params = load_params()
    folder = Path("data/annotations")
    splits, rejects = parse_dataset(Path("data/raw", params.data.dataset), params.data.dataset)
    with exclusive_lock("data/.parse.lock", f"writing {folder}"):
        # Before anything can stop the stage: the user needs this file to fix the annotations.
        write_rejects(folder / "rejects.csv", rejects)
        for split in SPLITS:
            print(summarize_split(split, splits[split], rejects))
        own = params.data.folder if params.data.dataset == "folder" else None
        fraction = params.parse.max_reject_fraction
        check_rejects(splits, rejects, fraction, folder / "rejects.csv", own)
        for split in SPLITS:
            save_persons(folder / f"{split}.json", splits[split])


if __name__ == "__main__":
    main()

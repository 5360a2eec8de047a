"""Turn the dataset's annotations into checked persons; list what was left out and why.

reads   data/raw/<dataset>
writes  data/annotations
params  data.dataset, parse
"""

from pathlib import Path

from hourglass.annotations.checks import summarize_split
from hourglass.annotations.parsing import parse_dataset
from hourglass.annotations.persons import SPLITS, save_persons
from hourglass.errors import exit_on_user_error, stage_parser
from hourglass.files import exclusive_lock
from hourglass.params import load_params
from hourglass.rejects import check_rejects, count_rejects, write_rejects


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    params = load_params()
    folder = Path("data/annotations")
    dataset, left_out = params.data.dataset, params.parse.left_out
    splits, rejects, num_left_out = parse_dataset(Path("data/raw", dataset), dataset, left_out)
    with exclusive_lock("data/.parse.lock", f"writing {folder}"):
        # Before anything can stop the stage: the user needs this file to fix the annotations.
        write_rejects(folder / "rejects.csv", rejects)
        if left_out:
            print(f"{num_left_out:,} pictures left out by name (parse.left_out)")
        for split in SPLITS:
            print(summarize_split(split, splits[split], rejects))
        stop_on_rejects(params, splits, rejects, folder / "rejects.csv")
        for split in SPLITS:
            save_persons(folder / f"{split}.json", splits[split])


def stop_on_rejects(params, splits, rejects, path):
    num_rejects = count_rejects(rejects)
    num_records = {split: len(splits[split]) + num_rejects[split] for split in SPLITS}
    is_own = params.data.dataset == "folder"
    advice = f"fix {params.data.folder}/{{split}}.json" if is_own else "fix the annotations"
    check_rejects(
        path, rejects, num_records, "parse.max_reject_fraction", params.parse.max_reject_fraction,
        advice,
    )  # fmt: skip


if __name__ == "__main__":
    main()

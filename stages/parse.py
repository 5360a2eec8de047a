"""Turn the dataset's annotations into checked persons; list the invalid records with the reason.

reads   data/raw/<dataset>
writes  data/annotations
params  data.dataset, data.schema, data.sets, parse
"""

from pathlib import Path

from hourglass.config import load_params
from hourglass.data.datasets.base import find_dataset
from hourglass.data.invalid import check_invalid_fraction, count_invalid, write_invalid
from hourglass.data.parse import parse_dataset, parse_sets
from hourglass.data.person import SPLITS, save_persons, save_schema
from hourglass.data.validation import summarize_split
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    params = load_params()
    folder = Path("data/annotations")
    dataset, sets = params.data.dataset, params.data.sets
    parse, source = (parse_sets, sets) if sets else (parse_dataset, dataset)
    schema, excluded = params.data.keypoint_schema, params.parse.excluded
    parsed = parse(Path("data/raw", dataset), source, schema, excluded)
    splits, invalid = parsed.splits, parsed.invalid
    with exclusive_lock("data/.parse.lock", f"writing {folder}"):
        # Before anything can stop the stage: the user needs this file to fix the annotations.
        write_invalid(folder / "invalid.csv", invalid)
        if excluded:
            print(f"{parsed.num_excluded:,} pictures excluded by name (parse.excluded)")
        for split in SPLITS:
            unused, notes = parsed.not_used[split], parsed.notes[split]
            print(summarize_split(split, splits[split], invalid, schema, unused, notes))
        check_invalid(params, splits, invalid, folder / "invalid.csv")
        save_schema(folder, schema)
        for split in SPLITS:
            save_persons(folder / f"{split}.json", splits[split])


def check_invalid(params, splits, invalid, path):
    num_invalid = count_invalid(invalid)
    num_records = {split: len(splits[split]) + num_invalid[split] for split in SPLITS}
    advice = find_dataset(params.data.dataset).advise(params.data)
    check_invalid_fraction(
        path, invalid, num_records, "parse.max_invalid_fraction", params.parse.max_invalid_fraction,
        advice,
    )  # fmt: skip


if __name__ == "__main__":
    main()

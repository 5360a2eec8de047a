"""Score the predictions of the validation persons: PCKh as metrics, curve, figure and table.

reads   data/annotations, reports/predictions.json
writes  reports/metrics.json, reports/pckh.md, reports/plots/pckh_curve.csv,
        reports/plots/pckh_curve.png
params  data.sets
"""

import numpy as np

from hourglass.config import load_params
from hourglass.data.head_size import describe_head_sizes
from hourglass.data.invalid import read_invalid
from hourglass.data.person import find_set, load_persons, load_schema
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.predictions import load_predictions
from hourglass.evaluation.reporting import score_invalid, write_reports
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    persons = load_persons("data/annotations/validation.json")
    schema = load_schema("data/annotations")
    invalid = read_invalid(
        "data/annotations/invalid.csv", schema.num_keypoints, "run `dvc repro parse`"
    )
    predictions = load_predictions("reports/predictions.json", persons, schema)
    predicted = score_persons(persons, predictions.keypoints)
    lost = [record for record in invalid if record.split == "validation"]
    *wrong, num_unreadable = score_invalid(lost, schema)
    scored = tuple(map(np.concatenate, zip(predicted, wrong, strict=True)))
    num_invalid = len(wrong[0]) + int((~predictions.predicted).sum())
    counts = {"num_invalid": num_invalid, "num_unreadable": num_unreadable}
    names = load_params().data.sets
    sets = {name: score_set(name, persons, predicted, lost, schema) for name in names}
    with exclusive_lock("reports/.evaluate.lock", "writing the scores to reports"):
        table = write_reports("reports", scored, schema, counts, describe_head_sizes(persons), sets)
    print(table, end="")


def score_set(name, persons, predicted, lost, schema):
    is_of = np.array([find_set(person.image) == name for person in persons])
    *wrong, _ = score_invalid([r for r in lost if find_set(r.image) == name], schema)
    errors, keypoints_visible = (array[is_of] for array in predicted)
    return np.concatenate([errors, wrong[0]]), np.concatenate([keypoints_visible, wrong[1]])


if __name__ == "__main__":
    main()

"""Score the predictions of the validation persons: PCKh as metrics, curve, figure and table.

reads   data/annotations, reports/predictions.json
writes  reports/metrics.json, reports/pckh.md, reports/plots/pckh_curve.csv,
        reports/plots/pckh_curve.png
params  none
"""

import numpy as np

from hourglass.annotations.heads import describe_heads
from hourglass.annotations.persons import load_persons
from hourglass.errors import exit_on_user_error, stage_parser
from hourglass.evaluation.left_out import score_left_out
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.reporting import write_reports
from hourglass.files import exclusive_lock
from hourglass.prediction.predictions import load_predictions
from hourglass.rejects import read_rejects


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    persons = load_persons("data/annotations/validation.json")
    rejects = read_rejects("data/annotations/rejects.csv", "run `dvc repro parse`")
    predictions = load_predictions("reports/predictions.json", persons)
    scored = score_persons(persons, predictions.keypoints)
    *left_out, num_unreadable = score_left_out([r for r in rejects if r.split == "validation"])
    errors, joints_vis = map(np.concatenate, zip(scored, left_out, strict=True))
    num_left_out = len(left_out[0]) + int((~predictions.predicted).sum())
    counts = {"num_left_out": num_left_out, "num_unreadable": num_unreadable}
    with exclusive_lock("reports/.evaluate.lock", "writing the scores to reports"):
        table = write_reports("reports", errors, joints_vis, counts, describe_heads(persons))
    print(table, end="")


if __name__ == "__main__":
    main()

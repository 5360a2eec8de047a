"""Score the predictions of the validation persons: PCKh as metrics, curve, figure and table.

reads   data/annotations, reports/predictions.json
writes  reports/metrics.json, reports/pckh.md, reports/plots/pckh_curve.csv,
        reports/plots/pckh_curve.png
params  none
"""

from hourglass.annotations.persons import load_persons
from hourglass.errors import exit_on_user_error, stage_parser
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.reporting import write_reports
from hourglass.files import exclusive_lock
from hourglass.prediction.predictions import load_predictions


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    persons = load_persons("data/annotations/validation.json")
    predictions = load_predictions("reports/predictions.json", persons)
    errors, joints_vis = score_persons(persons, predictions.keypoints)
    predicted = predictions.predicted
    num_left_out = int((~predicted).sum())
    with exclusive_lock("reports/.evaluate.lock", "writing the scores to reports"):
        table = write_reports("reports", errors[predicted], joints_vis[predicted], num_left_out)
    print(table, end="")


if __name__ == "__main__":
    main()

"""Write the finished run as one page to send: scores, curves, persons, how to repeat it.

reads   data/annotations, data/tfrecords/invalid.csv, models/hourglass.keras, reports/metrics.json,
        reports/plots/history.csv, reports/plots/pckh_curve.csv, reports/figures
writes  reports/index.html
params  data.dataset, data.schema, data.sets, data.synthetic, data.val_fraction, parse, shard,
        model, train, predict, report
"""

from hourglass.config import load_params
from hourglass.report.page import write_page
from hourglass.report.results import load_results
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    results = load_results(load_params())
    with exclusive_lock("reports/.report.lock", "writing reports/index.html"):
        write_page("reports/index.html", results)


if __name__ == "__main__":
    main()

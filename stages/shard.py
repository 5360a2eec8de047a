"""Cut a crop of each person out of the pictures into TFRecords, in Ray tasks.

reads   data/raw/<dataset>, data/annotations; the environment variable RAY_ADDRESS: a cluster to use
writes  data/tfrecords; while it runs data/.stretches
params  data.dataset, shard
"""

from pathlib import Path

from hourglass.annotations.persons import load_persons
from hourglass.cluster.session import start_ray
from hourglass.cluster.shard_tasks import write_shards
from hourglass.errors import UserError, exit_on_user_error, stage_parser
from hourglass.files import exclusive_lock
from hourglass.params import load_params
from hourglass.raw.archives import locate_pictures
from hourglass.raw.datasets import DATASETS
from hourglass.records.index import write_index
from hourglass.records.shards import PREFIXES, collect_rejects, plan_splits
from hourglass.records.stretches import plan_stretches
from hourglass.rejects import check_rejects, count_rejects, write_rejects

OUT = Path("data/tfrecords")


@exit_on_user_error
def main():
    parser = stage_parser(__doc__)
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help="Ray workers on this machine (default: all cores; no effect with RAY_ADDRESS)",
    )  # fmt: skip
    num_workers = parser.parse_args().workers
    if num_workers is not None and num_workers < 1:
        raise UserError(f"--workers {num_workers}: must be 1 or more")
    params = load_params()
    archive = Path("data/raw", params.data.dataset, DATASETS[params.data.dataset].images).resolve()
    persons = {split: load_persons(f"data/annotations/{split}.json") for split in PREFIXES}
    num_persons = {split: len(people) for split, people in persons.items()}
    shards = plan_splits(persons, params.shard)
    stretches = plan_stretches(persons, locate_pictures(archive))
    with exclusive_lock("data/.shard.lock", f"writing {OUT}"):
        start_ray(num_workers)
        results = write_shards(OUT, shards, stretches, persons, archive, params.shard)
        report_rejects(collect_rejects(shards, results), num_persons, params.shard)
        write_index(OUT, shards, results, num_persons, params.shard)


def report_rejects(rejects, num_persons, params):
    path = OUT / "rejects.csv"
    write_rejects(path, rejects)
    num_rejects = count_rejects(rejects)
    for split, number in num_persons.items():
        kept = number - num_rejects[split]
        print(f"{split}: {number} persons = {kept} records + {num_rejects[split]} rejects")
    check_rejects(
        path, rejects, num_persons, "shard.max_reject_fraction", params.max_reject_fraction,
        "fix the pictures (a damaged archive: `dvc repro download`)",
    )  # fmt: skip


if __name__ == "__main__":
    main()

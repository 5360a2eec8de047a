"""Cut a crop of each person out of the pictures, and write the TFRecords, in Ray tasks.

reads   data/raw/<dataset>, data/annotations; RAY_ADDRESS, if it names a cluster
writes  data/tfrecords; data/.chunks while it runs
params  data.dataset, data.sets, shard
"""

from pathlib import Path

from hourglass.config import load_params
from hourglass.data.archives import locate_pictures
from hourglass.data.datasets.base import find_dataset
from hourglass.data.invalid import check_invalid_fraction, count_invalid, write_invalid
from hourglass.data.person import load_persons, load_schema
from hourglass.data.tfrecords.index import write_index
from hourglass.data.tfrecords.plan import PREFIXES, count_sets, plan_archive_chunks, plan_splits
from hourglass.data.tfrecords.writer import collect_invalid
from hourglass.distributed.ray_session import start_ray
from hourglass.distributed.ray_shards import write_shards
from hourglass.utils.errors import UserError, exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock

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
    dataset = find_dataset(params.data.dataset)
    archive = Path("data/raw", dataset.name, dataset.images).resolve()
    persons = {split: load_persons(f"data/annotations/{split}.json") for split in PREFIXES}
    num_persons = {split: len(people) for split, people in persons.items()}
    shards = plan_splits(persons, params.shard)
    chunks = plan_archive_chunks(persons, locate_pictures(archive))
    with exclusive_lock("data/.shard.lock", f"writing {OUT}"):
        start_ray(num_workers)
        results = write_shards(OUT, shards, chunks, persons, archive, params.shard)
        invalid = collect_invalid(shards, results)
        report_invalid(invalid, num_persons, params.shard)
        schema = load_schema("data/annotations")
        sets = count_sets(params.data.sets, persons, invalid)
        write_index(OUT, shards, results, num_persons, schema, params.shard, sets)


def report_invalid(invalid, num_persons, params):
    path = OUT / "invalid.csv"
    write_invalid(path, invalid)
    num_invalid = count_invalid(invalid)
    for split, number in num_persons.items():
        kept = number - num_invalid[split]
        print(f"{split}: {number} persons = {kept} records + {num_invalid[split]} invalid")
    check_invalid_fraction(
        path, invalid, num_persons, "shard.max_invalid_fraction", params.max_invalid_fraction,
        "fix the pictures (a damaged archive: `dvc repro download`)",
    )  # fmt: skip


if __name__ == "__main__":
    main()

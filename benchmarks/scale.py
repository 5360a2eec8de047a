"""Very many photographs through `hourglass predict --records`: memory over time, rate, kills.

usage: python benchmarks/scale.py [--pictures 20000] [--kills 3] [--cluster] [--whole]
                                  [--model FILE] [--folder DIR]

Draws some figures and writes so many pictures of them, no two the same bytes, one in a hundred cut
off. They are predicted once undisturbed, once killed by kill -9 again and again and repeated until
all are there, and, with --cluster, on a cluster of two nodes of this machine, a core each. Counts
must add up, and all results be the same bytes. With --whole each picture is one crop and no search,
which costs fifty. DIR is for pictures and results: another disk, or to keep them.
"""

import argparse
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from measure import children, describe_load, describe_machine, is_worker
from tqdm import tqdm

from hourglass.data.synthetic.pictures import draw_picture
from hourglass.shipped import shipped_network
from hourglass.utils.files import file_digest

NUM_FIGURES = 200
PER_FOLDER = 1_000
CUT = 100  # one picture in so many is cut off
SAMPLE_SECONDS = 0.5
ROWS = 10  # of the memory over time
RESULTS = ("poses.jsonl", "invalid.csv")


def main():
    options = read_options()
    print(describe_machine())
    with contextlib.ExitStack() as stack:
        if options.folder and options.folder.exists():
            raise SystemExit(f"{options.folder}: exists; name a new folder")  # runs would go on
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_pictures(folder / "pictures", options.pictures)
        command = [
            sys.executable, "-c", "from hourglass.cli.main import main; main()",
            "predict", "pictures",
            "--records", "--model", options.model.resolve(),
            *(["--whole"] if options.whole else []), "--out",
        ]  # fmt: skip
        seconds = report_run(command, folder, "undisturbed", options.pictures)
        report_kills(command, folder, options, seconds)
        if options.cluster:
            address = stack.enter_context(two_nodes())
            report_run(command, folder, "cluster", options.pictures, RAY_ADDRESS=address)


def read_options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=int, default=20_000, metavar="N")
    options.add_argument("--kills", type=int, default=3, metavar="N")
    options.add_argument("--cluster", action="store_true", help="also on two nodes")
    options.add_argument("--whole", action="store_true", help="one crop a picture, no search")
    options.add_argument("--model", type=Path, default=shipped_network(), metavar="FILE")
    options.add_argument("--folder", type=Path, metavar="DIR")
    return options.parse_args()


def write_pictures(folder, number):
    """JPEG files of drawn figures, in folders; each has a number in a comment of its own."""
    figures = [draw_jpeg(index) for index in range(min(NUM_FIGURES, number))]
    for index in tqdm(range(number), "write", unit="picture", disable=None):
        data = figures[index % len(figures)]
        comment = b"%09d" % index
        data = data[:2] + b"\xff\xfe\0" + bytes([len(comment) + 2]) + comment + data[2:]
        path = folder / f"{index // PER_FOLDER:05}" / f"{index:09}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[: len(data) // 2] if index % CUT == CUT - 1 else data)


def draw_jpeg(index):
    with io.BytesIO() as buffer:
        draw_picture(1, index)[0].save(buffer, "JPEG", quality=92)
        return buffer.getvalue()


@contextlib.contextmanager
def two_nodes():
    """The address of a Ray cluster of two nodes of one core each, on this machine."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False}
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def report_run(command, folder, out, number, **environment):
    """Run the command to its end, and print its rate and its memory over time; its seconds."""
    start, samples = time.perf_counter(), []
    process = start_command(command, folder, out, environment)
    while process.poll() is None:
        seconds = time.perf_counter() - start
        samples.append((seconds, count_chunks(folder / out), *sample_memory(process)))
        time.sleep(SAMPLE_SECONDS)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{out}: ended with {process.returncode}")
    print(f"{out}: {number / seconds:.1f} pictures/s, {seconds:.0f} s; {describe_load()}")
    print("  seconds  chunks  command, MiB  Ray's workers, MiB")
    for row in samples[:: max(1, len(samples) // ROWS)]:
        print("  {:7.0f}  {:6}  {:12.0f}  {:18.0f}".format(*row))
    print(f"  most: {max(row[2] for row in samples):.0f}, {max(row[3] for row in samples):.0f} MiB")
    report_results(folder, out, number)
    return seconds


def start_command(command, folder, out, environment):
    settings = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return psutil.Popen([*command, out], cwd=folder, env=settings | environment)


def count_chunks(out):
    return len(list(out.glob("chunks/*.jsonl")))


def sample_memory(process):
    """Memory that lies in RAM, MiB: of the command with its children, of Ray's workers."""
    workers = [child for child in children(psutil.Process()) if is_worker(child)]
    own = [process, *children(process)]
    return [sum(map(resident, group)) for group in (own, workers)]


def resident(process):
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss / 2**20
    return 0


def report_kills(command, folder, options, seconds):
    """Kill the command again and again, repeat it until it ends, and print what came of it."""
    for number in range(options.kills):
        process = start_command(command, folder, "killed", {})
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            process.wait(seconds / (options.kills + 1))
        ended = process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = (
            "ended before it" if ended else f"{count_chunks(folder / 'killed')} chunks are there"
        )
        print(f"kill {number + 1}: {found}")
    if start_command(command, folder, "killed", {}).wait():
        raise SystemExit("killed: the last run failed")
    report_results(folder, "killed", options.pictures)


def report_results(folder, out, number):
    """Hold counts and bytes against what was written and predicted undisturbed."""
    lines = (folder / out / RESULTS[0]).read_text().splitlines()[1:]
    images = [json.loads(line)["image"] for line in lines]
    num_invalid = len((folder / out / RESULTS[1]).read_text().splitlines()) - 1
    is_right = (len(set(images)), num_invalid) == (number - number // CUT, number // CUT)
    digests = [
        [file_digest(folder / name / result) for result in RESULTS]
        for name in (out, "undisturbed")
    ]  # fmt: skip
    print(
        f"  {len(images)} pictures + {num_invalid} invalid of {number}; none twice, none lost: "
        f"{is_right and len(images) == len(set(images))}; the same bytes as undisturbed: "
        f"{digests[0] == digests[1]}"
    )


if __name__ == "__main__":
    main()

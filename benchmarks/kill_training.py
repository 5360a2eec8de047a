"""Kill training at random moments and hold what comes of it against an uninterrupted run.

usage: python benchmarks/kill_training.py [--tries 20] [--epochs 4] [--pictures 400]

In a clone of the repository, the demo is trained once as it is. Then, again and again, training is
started, killed at a random moment - the stage, DVC, or both by Ctrl-C, each in turn - and started
anew until it ends; weights, history and metrics must be the same bytes.
"""

import argparse
import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

RESULTS = ("models/hourglass.keras", "reports/plots/history.csv", "reports/metrics.json")
KINDS = ("kill -9 of the stage", "kill -9 of dvc", "Ctrl-C")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tries", type=int, default=20)
    options.add_argument("--epochs", type=int, default=4)
    options.add_argument("--pictures", type=int, default=400)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo, cache = make_demo(Path(folder), options), Path(folder, "cache")
        finish(demo)
        wanted = digests(demo)
        forget_training(demo)
        start = time.monotonic()  # of a second run: the first one reads its libraries from disk
        finish(demo, "train")
        duration = time.monotonic() - start
        rng = random.Random(options.seed)
        held = 0
        for number in range(options.tries):
            kind = KINDS[number % len(KINDS)]
            moment = rng.uniform(0, duration)
            forget_training(demo)
            was_alive = kill_after(demo, kind, moment)
            restarts, said = finish(demo)
            said = said if was_alive else "had ended"
            found = digests(demo)
            different = [name for name in RESULTS if found[name] != wanted[name]]
            clean = not list(cache.rglob("*.npz"))
            held += clean and not different
            print(
                f"{number + 1:2}  {kind:20}  after {moment:5.1f} s  {restarts} restarts  {said:28}"
                f"{'DIFFERENT ' + ', '.join(different) if different else 'same bytes'}"
                f"{'' if clean else ', state LEFT BEHIND'}",
                flush=True,
            )
        print(f"{held} of {options.tries} held")
    sys.exit(held != options.tries)


def make_demo(folder, options):
    """A clone of the repository with a smaller demo, run up to the shards."""
    root = Path(__file__).parents[1]
    subprocess.run(["git", "clone", "--quiet", root, folder / "project"], check=True)
    demo = folder / "project" / "demo"
    params = yaml.safe_load((demo / "params.yaml").read_text())
    params["train"]["epochs"] = options.epochs
    params["data"]["synthetic"].update(num_train=options.pictures, num_val=60)
    (demo / "params.yaml").write_text(yaml.safe_dump(params))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    (demo / "dvc.lock").unlink()
    run_dvc(demo, "shard")
    shutil.copy(demo / "dvc.lock", folder / "dvc.lock")
    return demo


def forget_training(demo):
    """Back to where only the shards are made; DVC would bring a known result back by itself."""
    shutil.copy(demo.parents[1] / "dvc.lock", demo / "dvc.lock")
    shutil.rmtree(demo.parent / ".dvc" / "cache", ignore_errors=True)
    for name in RESULTS:
        (demo / name).unlink(missing_ok=True)


def run_dvc(demo, *arguments):
    command = ["dvc", "repro", *arguments]
    done = subprocess.run(command, cwd=demo, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def finish(demo, *arguments):
    """Run the pipeline until it ends well, as a user would: the number of runs, what was said."""
    for runs in range(1, 6):
        code, output = run_dvc(demo, *arguments)
        if code == 0:
            said = re.search(r"going on after epoch \d+", output)
            return runs, said.group() if said else ""
        owner = re.search(r"process (\d+) is training", output)
        if owner:  # the stage that outlived its dvc: end it, as the line says
            os.kill(int(owner.group(1)), signal.SIGKILL)
            time.sleep(1)
    raise SystemExit(f"does not end:\n{output}")


def kill_after(demo, kind, seconds):
    """Start training anew and kill it after so many seconds; gives whether it still ran."""
    process = subprocess.Popen(
        ["dvc", "repro", "train"], cwd=demo, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(seconds)
    was_alive = process.poll() is None
    if kind == "Ctrl-C":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    elif kind == "kill -9 of dvc":
        process.kill()
    else:
        for stage in find_children(process.pid):
            os.kill(stage, signal.SIGKILL)
    process.wait()
    return was_alive


def find_children(pid):
    """Processes below `pid`, from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def digests(demo):
    return {name: hashlib.sha256((demo / name).read_bytes()).hexdigest() for name in RESULTS}


if __name__ == "__main__":
    main()

"""Kill runs of the demo at random moments and hold what comes of them against one left alone.

usage: python tests/faults/kill_runs.py --what training [--tries 20] [--seed 1] [--kinds Ctrl-C]
       python tests/faults/kill_runs.py --what pipeline [--tries 20] [--seed 1]

In a clone of the repository (what is committed) a smaller demo is run twice as it is. Then, again
and again, it is started, killed at a random moment, and started anew until it ends. A try has held
when every file of the demo, dvc.lock included, has the bytes of the uninterrupted run, when there
is no other file, no saved state and no process left, and when DVC has nothing more to do.

training: the moment lies anywhere from the first epoch's start to the stage's end; every fourth
    try waits for a save and kills in it. In turn the stage, DVC, or both by Ctrl-C are killed.
pipeline: the moment lies anywhere from `dvc repro`'s start to its end. In turn the whole process
    group and DVC alone are killed by `kill -9`.

Where a restarted stage says that another process is still at it, that one is killed, as the line
asks, and the run started anew. Nothing else is tidied up by hand. What TensorFlow and Ray leave
in the system's temporary folder when they are killed is told, but not held against a try.
"""

import argparse
import contextlib
import dataclasses
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

from helpers.paths import ROOT

KINDS = {
    "training": ("kill -9 of the stage", "kill -9 of dvc", "Ctrl-C"),
    "pipeline": ("kill -9 of the group", "kill -9 of dvc"),
}
EPOCHS = {"training": 10, "pipeline": 3}
MAX_RUNS = 8
NOT_COMPARED = {".dvc", "logs", "__pycache__"}  # TensorBoard's files carry the time of day


@dataclasses.dataclass
class Moment:
    """When to kill: once `text` is in the log, after `seconds`, or in the next save."""

    text: str
    seconds: float = 0.0
    in_save: bool = False


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--what", choices=KINDS, required=True)
    options.add_argument("--tries", type=int, default=20)
    options.add_argument("--epochs", type=int, help="10 for training, 3 for the pipeline")
    options.add_argument("--pictures", type=int, default=170, help="train pictures; 40 validate")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--kinds", nargs="*", help="of killing, in turn; all of the mode")
    options = options.parse_args()
    options.epochs = options.epochs or EPOCHS[options.what]
    # A shell's background job ignores Ctrl-C, and with it all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="kill", ignore_cleanup_errors=True) as folder:
        demo = Demo(Path(folder), options)
        seconds = demo.run_uninterrupted()
        rng = random.Random(options.seed)
        held = sum(try_once(demo, number, seconds, rng) for number in range(options.tries))
    print(f"{held} of {options.tries} held")
    sys.exit(held != options.tries)


def try_once(demo, number, seconds, rng):
    """Kill one run, let it end, print a line; whether it held."""
    kinds = demo.options.kinds or KINDS[demo.options.what]
    kind = kinds[number % len(kinds)]
    where = None
    while where is None:  # the run ended before its moment came: draw another one
        moment = draw_moment(demo.options, number, seconds, rng)
        demo.renew()
        where = kill_at(demo, kind, moment)
    runs, went_on = demo.finish()
    faults = demo.find_faults()
    litter = demo.count_litter()
    when = "on sight" if moment.in_save else f"+{moment.seconds:.1f} s"
    print(
        f"{number + 1:2}  {kind:20}  {when:>8}  in {where:34}  {runs} run(s)  {went_on:40}  "
        f"{'; '.join(faults) or 'same bytes, nothing left'}"
        f"{f' (in the system temporary folder: {litter})' if litter else ''}",
        flush=True,
    )
    return not faults


def draw_moment(options, number, seconds, rng):
    if options.what == "pipeline":
        return Moment("", rng.uniform(0, seconds))
    if number % 4 == 3:
        epoch = rng.randint(1, options.epochs + 1)  # the one past the last is the model's own save
        return Moment(epoch_line(epoch - 1) if epoch > 1 else "records, ", in_save=True)
    return Moment("records, ", rng.uniform(0, seconds))


def epoch_line(epoch):
    return f"epoch {epoch:3}/"


def kill_at(demo, kind, moment):
    """Start a run and kill it at `moment`; where it was then, None if it had ended before."""
    process = demo.start(*demo.stages)
    while moment.text not in demo.read_log() and process.poll() is None:
        time.sleep(0.01)
    due = time.monotonic() + moment.seconds
    while process.poll() is None and not (demo.is_saving() if moment.in_save else is_past(due)):
        time.sleep(0.001)
    if process.poll() is not None:
        return None
    kill(process, kind)
    return demo.describe_place(moment.in_save)


def is_past(due):
    return time.monotonic() >= due


def kill(process, kind):
    """Send the signals of `kind` to the running `dvc repro`, and wait for it to end."""
    if kind == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    elif kind == "kill -9 of the group":
        os.killpg(process.pid, signal.SIGKILL)
    elif kind == "kill -9 of dvc":
        process.kill()
    else:
        for stage in find_children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(stage, signal.SIGKILL)
    process.wait()


def find_children(pid):
    """Processes below `pid`, from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = stat.read_text().rsplit(")", 1)[1].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


class Demo:
    """A clone of the repository with a smaller demo, renewed for each try; caches of its own."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.project, self.prepared = folder / "project", folder / "prepared"
        self.path, self.log = self.project / "demo", folder / "log"
        self.cache, self.temporary = folder / "cache", folder / "tmp"
        programs = str(Path(sys.executable).parent)  # dvc, and the python that dvc.yaml names
        self.environment = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(self.cache),
            "TMPDIR": str(self.temporary),
            "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
            "DVC_NO_ANALYTICS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        self.environment.pop("RAY_ADDRESS", None)
        self.stages = ["train"] if options.what == "training" else []
        self._prepare()

    def _prepare(self):
        subprocess.run(["git", "clone", "--quiet", ROOT, self.project], check=True)
        file = self.path / "params.yaml"
        params = yaml.safe_load(file.read_text())
        params["train"]["epochs"] = self.options.epochs
        params["data"]["synthetic"].update(num_train=self.options.pictures, num_val=40)
        params["shard"].update(num_train_shards=4, num_val_shards=2)
        file.write_text(yaml.safe_dump(params))
        (self.path / "dvc.lock").unlink(missing_ok=True)
        self._clear_caches()
        if self.stages:
            self._wait_well(self.start("shard"))
        self.project.rename(self.prepared)

    def renew(self):
        """Back to where nothing is made; for `training`, to where the shards are."""
        shutil.rmtree(self.project, ignore_errors=True)
        shutil.copytree(self.prepared, self.project, symlinks=True)
        self._clear_caches()

    def _clear_caches(self):
        for path in (self.cache, self.temporary):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()

    def run_uninterrupted(self):
        """Run all twice, note the files; the seconds in which a kill may fall."""
        found = []
        for _ in range(2):  # the first one reads its libraries from disk, the second is timed
            self.renew()
            seconds = self._time_killable()
            self._wait_well(self.start())
            found.append(self.digests())
        if found[0] != found[1]:
            raise SystemExit(f"two uninterrupted runs differ: {compare(*found)}")
        self.wanted = found[0]
        print(f"uninterrupted: {len(self.wanted)} files, killable for {seconds:.1f} s", flush=True)
        return seconds

    def _time_killable(self):
        process = self.start(*self.stages)
        while self.stages and "records, " not in self.read_log() and process.poll() is None:
            time.sleep(0.01)
        start = time.monotonic()
        self._wait_well(process)
        return time.monotonic() - start

    def start(self, *stages):
        """Start `dvc repro` in a process group of its own, its output into the log."""
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                ["dvc", "repro", *stages], cwd=self.path, env=self.environment,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _wait_well(self, process):
        if process.wait():
            raise SystemExit(f"an uninterrupted run failed:\n{self.read_log()}")

    def read_log(self):
        """What the last run has printed so far."""
        return self.log.read_text(errors="replace")

    def is_saving(self):
        """Whether a temporary file of the training's state or of the model is there."""
        state = any(self.cache.glob("hourglass/.*.npz.tmp"))
        return state or (self.path / "models/.hourglass.keras.tmp").exists()

    def describe_place(self, in_save):
        """The stage the log ends in, and the epoch."""
        text = self.read_log()
        stages = re.findall(r"Running stage '(\w+)'", text)
        place = stages[-1] if stages else "dvc before any stage"
        if place != "train" or "records, " not in text:
            return place
        epochs = re.findall(r"^(?:epoch|going on after epoch) +(\d+)", text, re.MULTILINE)
        epoch = int(epochs[-1]) + 1 if epochs else 1
        if epoch > self.options.epochs:
            return "train, saving the model" if in_save else "train, after the last epoch"
        return f"train, saving epoch {epoch}'s state" if in_save else f"train, epoch {epoch}"

    def finish(self):
        """Run the pipeline until it ends well, as a user would: the number of runs, what it did."""
        for runs in range(1, MAX_RUNS + 1):
            code = self.start().wait()
            text = self.read_log()
            if code == 0:
                return runs, describe_restart(text)
            owner = re.search(r"process (\d+) is \w+", text)
            if owner:  # the stage that outlived its dvc: end it, as the line says
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(owner.group(1)), signal.SIGKILL)
                time.sleep(1)
            else:
                print(f"    a restart failed: {text[-2000:]}", flush=True)
        raise SystemExit("it does not end")

    def digests(self):
        """SHA-256 of every file of the demo."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        names = {path.relative_to(self.path): path for path in files}
        return {
            str(name): hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in sorted(names.items())
            if not NOT_COMPARED & set(name.parts) and name.parts[0] not in ("src", "stages")
        }

    def find_faults(self):
        """In what a restarted run differs from the uninterrupted one, and what it left behind."""
        faults = compare(self.wanted, self.digests())
        faults += [f"STATE LEFT {path.name}" for path in self.cache.glob("hourglass/*")]
        faults += [f"PROCESS LEFT {name}" for name in self._end_processes()]
        if self.start().wait() or "Running stage" in self.read_log():
            faults.append(f"NOT UP TO DATE {self.read_log()}")
        return faults

    def count_litter(self):
        """Files that libraries left in the system's temporary folder, as "3 of TensorFlow"."""
        names = [path.name for path in self.temporary.iterdir()]
        kinds = {"ray": "Ray's logs", "__autograph": "of TensorFlow", "": "other"}
        found = {}
        for name in names:
            kind = next(text for start, text in kinds.items() if name.startswith(start))
            found[kind] = found.get(kind, 0) + 1
        return ", ".join(f"{count} {kind}" for kind, count in found.items())

    def _end_processes(self):
        """Command lines of the processes still there after 90 s, which are then killed.

        Two agents of Ray's look but once a minute whether the Ray they belong to was killed.
        """
        for _ in range(180):
            left = self._find_processes()
            if not left:
                return []
            time.sleep(0.5)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return list(left.values())

    def _find_processes(self):
        """Processes that any run of this demo started, by their environment: {pid: command}."""
        mark, found = f"XDG_CACHE_HOME={self.cache}\0".encode(), {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes():
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(process.name)] = command[:100]
        return found


def describe_restart(text):
    """Which stages a restart ran, and from where training went on."""
    stages = ", ".join(re.findall(r"Running stage '(\w+)'", text)) or "nothing"
    went_on = re.search(r"going on after epoch \d+", text)
    return f"ran {stages}" + (f", {went_on.group()}" if went_on else "")


def compare(wanted, found):
    """The names of files that differ, as lines."""
    different = sorted(name for name in wanted if name in found and found[name] != wanted[name])
    groups = {
        "DIFFERENT": different,
        "MISSING": sorted(wanted.keys() - found.keys()),
        "LEFT OVER": sorted(found.keys() - wanted.keys()),
    }
    return [f"{word} {', '.join(names)}" for word, names in groups.items() if names]


if __name__ == "__main__":
    main()

"""`hourglass predict --records` killed by kill -9 at each step that another run may see.

Run as a program: predicts the pictures of `in` with a fake network, again and again, in folders of
the current one, each time killed somewhere else and then repeated until it ends.
"""

import itertools
import os
import shutil
import signal
import sys

from helpers.fake_backends import BrightestBackend
from hourglass.apps.batch import plan
from hourglass.cli import batch, models
from hourglass.cli.main import main as run_command

plan.CHUNK_SIZE = 4
STEPS = ((os, "replace"), (os, "unlink"), (shutil, "rmtree"))  # what changes the folder's names


def run(out, kill_at=None, is_after=False):
    """Predict into `out`, in a process of its own; whether it was killed.

    Args:
        kill_at: before or, `is_after`, after which step; None is never.
    """
    if not (child := os.fork()):
        if kill_at is not None:
            arm(itertools.count(), kill_at, is_after)
        models.open_backend = lambda *_: BrightestBackend()
        batch.importlib.util.find_spec = lambda name: None  # no pyarrow
        sys.argv = ["hourglass", "predict", "in", "--records", "--model", "net.keras", "--whole",
                    "--out", out]  # fmt: skip
        run_command()
        sys.stdout.flush()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def arm(steps, kill_at, is_after):
    """Have this process killed at a step."""

    def wrap(function):
        def wrapped(*arguments, **settings):
            is_it = next(steps) == kill_at
            if is_it and not is_after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **settings)
            if is_it:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for module, name in STEPS:
        setattr(module, name, wrap(getattr(module, name)))


def main():
    run("whole")
    for is_after in (False, True):
        for step in itertools.count():
            out = f"step_{step}_{'after' if is_after else 'before'}"
            if not run(out, step, is_after):
                break
            run(out)
    for steps in ((5, 3, 4), (2, 8, 12)):
        out = f"steps_{'_'.join(map(str, steps))}"
        assert all([run(out, step) for step in steps])
        run(out)


if __name__ == "__main__":
    main()

import signal
import subprocess
import sys

import pytest

from helpers.processes import environment
from hourglass.utils import errors
from hourglass.utils.errors import UserError, exit_on_user_error


def run(fault=None):
    @exit_on_user_error
    def main(answer):
        if fault:
            raise fault
        return answer

    return main("done")


def test_success_passes_arguments_and_the_answer():
    assert run() == "done"


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        (UserError("a.json: record 3: no image; name one"), 1, "error: a.json: record 3: no image; name one"),  # noqa: E501
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_one_line_and_an_exit_code(capsys, fault, code, line):
    with pytest.raises(SystemExit) as exit_:
        run(fault)
    out, err = capsys.readouterr()
    assert exit_.value.code == code and out == "" and err == f"{line}\n"


def test_sigterm_has_its_own_line_and_exit_code(capsys):
    # Ray gives on a KeyboardInterrupt of its own, whatever the handler raises.
    usual = signal.getsignal(signal.SIGTERM)
    errors.raise_at_sigterm()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # a second one kills
        with pytest.raises(SystemExit) as exit_:
            run(KeyboardInterrupt())
    finally:
        signal.signal(signal.SIGTERM, usual)
        errors._is_terminated.clear()
    assert (exit_.value.code, capsys.readouterr().err) == (143, "terminated\n")


def test_subclasses_count_as_user_errors(capsys):
    with pytest.raises(SystemExit) as exit_:
        run(type("DownloadError", (UserError,), {})("gone"))
    assert exit_.value.code == 1 and capsys.readouterr().err == "error: gone\n"


@pytest.mark.parametrize(
    "fault", [ValueError("a bug"), SystemExit(2), BrokenPipeError(32, "Broken pipe")]
)
def test_bugs_keep_their_traceback(fault):
    with pytest.raises(type(fault)) as raised:
        run(fault)
    assert raised.value is fault


def test_the_name_and_docstring_stay():
    @exit_on_user_error
    def main():
        """What it does."""

    assert (main.__name__, main.__doc__) == ("main", "What it does.")


PRINT = """
import sys
from hourglass.utils.errors import exit_on_user_error
@exit_on_user_error
def main():
    for _ in range(100_000):
        print("a line", file=sys.{stream})
main()
"""


@pytest.mark.parametrize(("stream", "other"), [("stdout", "stderr"), ("stderr", "stdout")])
def test_where_the_reader_has_gone_it_ends_without_a_word(stream, other):
    command = [sys.executable, "-c", PRINT.format(stream=stream)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        getattr(process, stream).close()
        assert getattr(process, other).read() == b""
    assert process.returncode == 141  # as shells say of a program that SIGPIPE has ended

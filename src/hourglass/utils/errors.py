"""The one exception for what the user can fix, and how a program ends on it."""

import argparse
import contextlib
import errno
import functools
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn, ParamSpec, TypeVar

# What the user's disk, or network disk, refuses to a program; other OSErrors are defects.
_DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ESTALE, errno.ETIMEDOUT,
)  # fmt: skip
# Exit codes of shells: 128 and the signal's number. Windows has no SIGPIPE to ask for its own.
_INTERRUPTED, _PIPE_CLOSED, _TERMINATED = 128 + 2, 128 + 13, 128 + 15


P = ParamSpec("P")
R = TypeVar("R")


class UserError(Exception):
    """Bad input. Its text is one line: the file or record, the fault, and the remedy."""


# Set by SIGTERM; no exception of its own, since Ray's C++ code makes a plain one of any.
_is_terminated = threading.Event()


def raise_at_sigterm() -> None:
    """Have SIGTERM raise KeyboardInterrupt in the main thread from now on; a second one kills.

    To be called after `ray.init`: the handler of Ray would abort the process after 3 s.
    """

    def handle(*_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise_terminated()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handle)


def raise_terminated() -> NoReturn:
    """Raise KeyboardInterrupt; `exit_on_user_error` will say that it came of SIGTERM."""
    _is_terminated.set()
    raise KeyboardInterrupt


class ArgumentParser(argparse.ArgumentParser):
    """A parser that raises `UserError`; argparse would print two lines and exit with code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise `UserError`."""
        raise UserError(f"{one_line(message)}; `{self.prog} --help` says more")


def stage_parser(docstring: str | None) -> ArgumentParser:
    """The parser of a stage in stages/: `--help` prints the stage's docstring as it stands."""
    # Stages show no figure; Matplotlib, which Keras loads too, would look for what the user names.
    os.environ["MPLBACKEND"] = "agg"
    return ArgumentParser(
        prog=f"python {sys.argv[0]}",
        description=docstring,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def exit_on_user_error(main: Callable[P, R]) -> Callable[P, R]:
    """Decorate a program's `main`: a `UserError` becomes one line on stderr and exit code 1.

    A full disk and a missing permission end it likewise. Where the reader of its output has gone,
    as in `... | head`, it ends without a word.
    """

    @functools.wraps(main)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            _end(f"error: {printable(error)}", 1)
        except BrokenPipeError:
            if not _drop_output():
                raise  # a pipe of the program's own
            sys.exit(_PIPE_CLOSED)
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            name = printable(error.filename or "output")
            advice = "make room on the disk or fix its permissions, then repeat"
            _end(f"error: {name}: {error.strerror}; {advice}", 1)
        except KeyboardInterrupt:
            if _is_terminated.is_set():
                _end("terminated", _TERMINATED)
            _end("interrupted", _INTERRUPTED)

    return wrapped


def _end(line: str, code: int) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(code)


def _drop_output() -> bool:
    """Whether the reader of stdout or stderr has gone; further output is then dropped."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poller = select.poll()
    for stream in (sys.stdout, sys.stderr):
        poller.register(stream, 0)  # for errors alone, of which a closed pipe is one
    gone = [place for place, _ in poller.poll(0)]
    for place in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), place)
    return bool(gone)


def one_line(error: object) -> str:
    """The text of an exception without line breaks; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: object) -> str:
    """The text as one line: line breaks and what else cannot be printed, as in paths, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what C++ code writes to stderr nowhere; Python's exceptions come through."""
    # The descriptor and not sys.stderr, which C++ knows nothing of.
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)

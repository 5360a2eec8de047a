"""The one exception for what the user can fix, and how a program ends on it."""

import argparse
import contextlib
import errno
import functools
import os
import sys

# What the user's disk, or network disk, refuses to a program; other OSErrors are defects.
_DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ESTALE, errno.ETIMEDOUT,
)  # fmt: skip


class UserError(Exception):
    """Bad input. Its text is one line: which file or record, what is wrong, what to do."""


class ArgumentParser(argparse.ArgumentParser):
    """One whose complaints are a `UserError`, not two lines and exit code 2."""

    def error(self, message):
        """Raise `UserError`."""
        raise UserError(f"{one_line(message)}; `{self.prog} --help` says more")


def stage_parser(docstring):
    """The parser of a stage in stages/: `--help` prints the stage's docstring as it stands."""
    return ArgumentParser(
        prog=f"python {sys.argv[0]}",
        description=docstring,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def exit_on_user_error(main):
    """Decorate a program's `main`: a `UserError` becomes one line on stderr and exit code 1.

    So does a full disk or a missing permission.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(f"error: {printable(error)}", file=sys.stderr)
            sys.exit(1)
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            name = printable(error.filename or "output")
            print(
                f"error: {name}: {error.strerror}; make room on the disk or "
                "fix its permissions, then repeat",
                file=sys.stderr,
            )
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)  # 128 + SIGINT, as shells count

    return wrapped


def one_line(error):
    """The text of an exception without line breaks; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(text):
    """The text as one line: line breaks and what else cannot be printed, as in paths, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


@contextlib.contextmanager
def silent_stderr():
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

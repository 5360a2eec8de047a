"""The `hourglass` command: `predict photo.jpg [clip.mp4 ...]`, `sticker`, `page`, `export`."""

import sys
from importlib import metadata

from hourglass.cli import export, page, predict, sticker
from hourglass.cli.options import join_box
from hourglass.utils.errors import ArgumentParser, UserError, exit_on_user_error


@exit_on_user_error
def main():
    """Entry point of the `hourglass` command."""
    options = make_parser().parse_args(join_box(sys.argv[1:]))
    # File names may hold any bytes; who reads a pipe sees each file's line when it is there.
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    try:
        options.run(options)
    except OSError as error:
        path = error.filename or "output"
        raise UserError(f"{path}: {error.strerror}; fix it, or choose another --out") from None


def make_parser():
    """The parser of the command line."""
    parser = ArgumentParser(prog="hourglass", description="Human poses on photographs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {find_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (predict, sticker, page, export):
        command.add_command(commands)
    return parser


def find_version():
    """The installed version."""
    try:
        return metadata.version("hourglass")
    except metadata.PackageNotFoundError:
        return "(not installed)"

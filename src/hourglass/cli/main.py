"""The `hourglass` command: `predict photo.jpg clip.mp4`, `convert`, `sticker` and so on."""

import sys
from importlib import metadata

from hourglass.cli import check, convert, export, predict, sticker
from hourglass.cli.options import join_box
from hourglass.utils.errors import ArgumentParser, UserError, exit_on_user_error, one_line


@exit_on_user_error
def main() -> None:
    """Entry point of the `hourglass` command."""
    options = make_parser().parse_args(join_box(sys.argv[1:]))
    # File names may hold any bytes; a reader of a pipe sees each file's line when it is there.
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore
    try:
        options.run(options)
    except BrokenPipeError:
        raise
    except OSError as error:
        path, reason = error.filename or "output", error.strerror or one_line(error)
        raise UserError(f"{path}: {reason}; fix it, or choose another --out") from None


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    try:
        version = metadata.version("hourglass")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    parser = ArgumentParser(prog="hourglass", description="Human poses on photographs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict.add_predict_command(commands)
    convert.add_convert_command(commands)
    sticker.add_sticker_command(commands)
    export.add_page_command(commands)
    export.add_export_command(commands)
    check.add_check_command(commands)
    return parser

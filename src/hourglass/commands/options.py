"""The parsers of the commands, and options that several of them have."""

from pathlib import Path

from hourglass.commands.models import MODEL
from hourglass.commands.persons import add_person_options


def add_parser(commands, name, text, more):
    """Add the parser of a command to the subparsers of `hourglass`.

    Args:
        text: what it does, for the list of commands. more: what its own help says after that.
    """
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}{more}")


def add_finding_options(parser, nargs, folder):
    """What finds people in files needs: the files, whom to look for, the network, where to write.

    Args:
        nargs: of files, as argparse has it. folder: where to write, where none is named.
    """
    parser.add_argument(
        "photos", nargs=nargs, type=Path, metavar="FILE",
        help="a picture or a clip, or a folder of them",
    )  # fmt: skip
    add_person_options(parser)
    add_folder_option(parser, folder)
    add_network_options(parser)
    parser.add_argument(
        "--no-smoothing", action="store_true",
        help="leave a clip's joints as each frame alone shows them (default: smooth them)",
    )  # fmt: skip


def add_folder_option(parser, name):
    """Where to write; `name` is the default."""
    parser.add_argument(
        "--out", type=Path, default=Path(name), metavar="DIR",
        help="the folder to write to; made if missing (default: %(default)s)",
    )  # fmt: skip


def add_network_options(parser):
    """Which network, and how it looks."""
    parser.add_argument(
        "--model", type=Path, metavar="FILE",
        help=f"the trained network (default: {MODEL}, else the shipped one)",
    )  # fmt: skip
    parser.add_argument(
        "--no-flip-test", action="store_true",
        help="do without the mirrored picture: twice as fast, less exact (default: use both)",
    )  # fmt: skip

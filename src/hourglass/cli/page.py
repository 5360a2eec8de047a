"""`hourglass page`: a folder that makes a web page of a network."""

from pathlib import Path

from hourglass.apps.page.building import build_page
from hourglass.apps.page.runtime import PACKAGE
from hourglass.cli.models import MODEL, find_model, warn_of_drawings
from hourglass.cli.options import add_folder_option, add_parser
from hourglass.utils.errors import printable


def add_command(commands):
    """Add `hourglass page` to the subparsers of the command."""
    parser = add_parser(
        commands, "page", "write a web page that finds joints in the browser",
        ": a folder for any web server; no picture leaves the browser.",
    )  # fmt: skip
    add_folder_option(parser, "page")
    parser.add_argument(
        "--model", type=Path, metavar="FILE",
        help="the network: what `hourglass export` wrote, .onnx, or the .keras file beside it "
        f"(default: {MODEL}, else the shipped one)",
    )  # fmt: skip
    parser.add_argument(
        "--runtime", type=Path, metavar="DIR",
        help=f"the folder of {PACKAGE}'s files (default: npm fetches them, once)",
    )  # fmt: skip
    parser.set_defaults(run=run_page)


def run_page(options):
    """Write the page's folder."""
    model = find_model(options.model)
    about = build_page(model, options.out, options.runtime)
    warn_of_drawings(model, about["trained_on"])
    out = printable(options.out)
    print(f"{out}: `python -m http.server --directory {out}` shows it at http://localhost:8000")

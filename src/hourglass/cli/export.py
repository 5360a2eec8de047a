"""`hourglass export` and `hourglass page`: a trained network for another runtime, or a browser."""

import argparse
from pathlib import Path
from typing import Any

from hourglass.apps.page.building import build_page
from hourglass.apps.page.runtime import PACKAGE
from hourglass.cli.models import MODEL, find_model, warn_of_drawings
from hourglass.cli.options import add_network_options, add_out_option, add_parser
from hourglass.utils.errors import UserError, printable

FORMATS = {"onnx": ".onnx", "litert": ".tflite", "saved_model": ""}  # and how their names end


def add_export_command(commands: Any) -> None:
    """Add `hourglass export` to the subparsers of the command."""
    parser = add_parser(
        commands, "export", "write a trained network for another runtime",
        ", as one file from pixels of a crop to keypoints, and compare it with Keras.",
    )  # fmt: skip
    add_network_options(parser)
    parser.add_argument(
        "--format", choices=FORMATS, default="onnx", help="of the file (default: %(default)s)"
    )
    parser.add_argument(
        "--half", action="store_true",
        help="keep the weights as float16, for half the bytes: joints move by up to 0.1 px",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="what to write; a folder for saved_model (default: beside the network, under its "
        "name; for the shipped one in this folder)",
    )  # fmt: skip
    parser.set_defaults(run=run_export)


def run_export(options: argparse.Namespace) -> None:
    """Write the network as one file of another runtime."""
    model = find_model(options.model)
    # The shipped one lies in the package, its export in the current folder.
    beside = model if options.model or model == MODEL else Path(model.name)
    target = name_export(options, beside)
    # TensorFlow: not for `--help`
    from hourglass.export.exporter import export_network

    proof = export_network(model, target, options.format, options.half, not options.no_flip_test)
    print(
        f"{printable(target)}: at most {proof.distance:.1g} px from Keras, in {proof.num_firm} of "
        f"{proof.num_joints} joints of drawn figures"
    )


def name_export(options: argparse.Namespace, network: Path) -> Path:
    """The path that an export is written to; without `--out` it is named after that of `network`.

    Raises:
        UserError: the path asked for ends as no file of that format does.
    """
    out, suffix = options.out, FORMATS[options.format]
    if out and suffix and out.suffix != suffix:
        raise UserError(f"--out {out}: a file of --format {options.format} ends in {suffix}")
    # Under a name of its own: `hourglass predict` takes the plain one in place of the network.
    kind = "_half" * options.half + "_no_flip_test" * options.no_flip_test
    return out or network.with_name(f"{network.stem}{kind}{suffix}")


def add_page_command(commands: Any) -> None:
    """Add `hourglass page` to the subparsers of the command."""
    parser = add_parser(
        commands, "page", "write a web page that finds joints in the browser",
        ": a folder for any web server; no picture leaves the browser.",
    )  # fmt: skip
    add_out_option(parser, "page")
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


def run_page(options: argparse.Namespace) -> None:
    """Write the page's folder."""
    model = find_model(options.model)
    metadata = build_page(model, options.out, options.runtime)
    warn_of_drawings(model, metadata.model.trained_on)
    out = printable(options.out)
    print(f"{out}: `python -m http.server --directory {out}` shows it at http://localhost:8000")

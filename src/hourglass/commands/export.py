"""`hourglass export`: a trained network as one file of another runtime."""

from pathlib import Path

from hourglass.commands.arguments import add_export_options, name_export
from hourglass.commands.messages import show_path
from hourglass.commands.models import MODEL, find_model


def add_command(commands):
    """Add `hourglass export` to the subparsers of the command."""
    text = "write a trained network for another runtime"
    parser = commands.add_parser(
        "export", help=text, description=f"{text[0].upper()}{text[1:]}, as one file from pixels of "
        "a square to keypoints, and hold it against Keras.",
    )  # fmt: skip
    add_export_options(parser)
    parser.set_defaults(run=run_export)


def run_export(options):
    """Write the network as one file of another runtime."""
    model = options.model or find_model()
    # A network that comes with the package is in a folder of others.
    name = model if options.model or model == MODEL else Path(model.name)
    target = name_export(options.out, options.format, name)
    # TensorFlow: not for `--help`
    from hourglass.exports.exporting import export_network

    proof = export_network(model, target, options.format, options.half, not options.no_flip_test)
    print(
        f"{show_path(target)}: at most {proof.distance:.1g} px from Keras, in {proof.num_firm} of "
        f"{proof.num_joints} joints of drawn figures"
    )

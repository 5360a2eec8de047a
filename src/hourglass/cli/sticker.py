"""`hourglass sticker`: people on photographs and in clips as stickers for chats."""

import argparse
import itertools
from functools import partial
from typing import Any

from hourglass.apps.stickers.encoding import is_sticker
from hourglass.apps.stickers.lifting import find_conversion
from hourglass.apps.stickers.making import (
    MOVING_KINDS,
    STILL_KINDS,
    STYLES,
    WrittenStickers,
    name_sticker,
    write_stickers,
)
from hourglass.cli.files import Pair, Passed, find_files, name_inputs, pair_targets, refuse_loss
from hourglass.cli.messages import describe_stickers, end, report
from hourglass.cli.models import load_clips, open_network
from hourglass.cli.options import add_inference_options, add_parser, make_config, warn_of_box
from hourglass.inference.runner import map_photos
from hourglass.utils.parallel import attempt


def add_sticker_command(commands: Any) -> None:
    """Add `hourglass sticker` to the subparsers of the command."""
    parser = add_parser(
        commands, "sticker", "make stickers for chats of people on photographs and in clips",
        ", 512 x 512 px, transparent, within the limits of WhatsApp and Telegram: writes "
        "NAME_STYLE.webp and NAME_STYLE.png of a photograph, NAME_STYLE.webp and NAME_STYLE.webm, "
        "three seconds, of a clip; of several people also NAME_STYLE_2 and so on.",
    )  # fmt: skip
    add_inference_options(parser, "+", "stickers", people=1)
    parser.add_argument(
        "--style", choices=STYLES, action="append",
        help="figure: a bold pictogram; cutout: cut out of the picture; cartoon: drawn, in the "
        "colours of the clothes; may be named several times (default: all three)",
    )  # fmt: skip
    parser.add_argument(
        "--start", type=parse_start, default=0.0, metavar="S",
        help="pass over the first S seconds of a clip (default: %(default)g)",
    )  # fmt: skip
    parser.set_defaults(run=run_sticker)


def run_sticker(options: argparse.Namespace) -> None:
    """Write the stickers of every photograph and clip.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    config = make_config(options, people=1)
    styles = [style for style in STYLES if style in (options.style or STYLES)]
    passed = Passed()
    photos, clips = pair_targets(find_files(options.photos, passed), options.out)
    passed.report()
    warn_of_box(options.box, len(photos) + len(clips))
    check_stickers_kept(photos, clips, styles, int(config.max_people))
    if clips:
        load_clips()  # without PyAV nothing is written
    _, backend = open_network(options, len(photos) * config.num_inputs)
    find_conversion(backend.schema)  # or every file would be refused for it
    describe = partial(describe_stickers, threshold=config.threshold)
    write = partial(write_stickers, styles=styles, schema=backend.schema)
    failed = report(photos, map_photos(write, backend, photos, config), describe, "sticker")

    def make(file: Pair) -> WrittenStickers:
        from hourglass.apps.stickers.moving import make_clip_stickers  # it needs PyAV

        is_smooth = not options.no_smoothing
        return make_clip_stickers(backend, *file, config, styles, options.start, is_smooth)

    failed += report(clips, (attempt(make, clip) for clip in clips), describe)
    end(failed, len(photos) + len(clips))


def check_stickers_kept(
    photos: list[Pair], clips: list[Pair], styles: list[str], number: int
) -> None:
    """Refuse an output folder in which an input, or what another program wrote, would be lost.

    Args:
        number: people whose stickers may be written, on each file.

    Raises:
        UserError: names the file that would be lost.
    """
    inputs = name_inputs(photos, clips)
    for files, kinds in ((photos, STILL_KINDS), (clips, MOVING_KINDS)):
        people = range(1, number + 1)
        for (_, target), style, kind, person in itertools.product(files, styles, kinds, people):
            path = name_sticker(target, style, person, kind)
            refuse_loss(path, inputs, path.exists() and not (path.is_file() and is_sticker(path)))


def parse_start(text: str) -> float:
    """Parse seconds, 0 or more."""
    try:
        start = float(text)
    except ValueError:
        start = -1.0
    if not 0 <= start < float("inf"):  # NaN too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return start

"""`hourglass sticker`: people on photographs and in clips as stickers for chats."""

import argparse
import functools

from hourglass.apps.stickers.making import STYLES, write_stickers
from hourglass.cli.clips import make_stickers
from hourglass.cli.files import check_stickers_kept, find_photos, part_clips
from hourglass.cli.messages import describe_stickers, end, report_clips, report_photos
from hourglass.cli.models import open_finding
from hourglass.cli.options import add_finding_options, add_parser, check_modes, make_config
from hourglass.inference.runner import map_photos


def add_command(commands):
    """Add `hourglass sticker` to the subparsers of the command."""
    parser = add_parser(
        commands, "sticker", "make stickers for chats of people on photographs and in clips",
        ", 512 x 512 px, transparent, within the limits of WhatsApp and Telegram: writes "
        "NAME_STYLE.webp and NAME_STYLE.png of a photograph, NAME_STYLE.webp and NAME_STYLE.webm, "
        "three seconds, of a clip; of several people also NAME_STYLE_2 and so on.",
    )  # fmt: skip
    add_finding_options(parser, "+", "stickers")
    parser.add_argument(
        "--style", choices=STYLES, action="append",
        help="figure: a bold pictogram; cutout: cut out of the picture; cartoon: drawn, in the "
        "colours of what is worn; may be named several times (default: all three)",
    )  # fmt: skip
    parser.add_argument(
        "--start", type=parse_start, default=0.0, metavar="S",
        help="pass over the first S seconds of a clip (default: %(default)g)",
    )  # fmt: skip
    parser.set_defaults(run=run_sticker)


def run_sticker(options):
    """Write the stickers of every photograph and clip.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    check_modes(options)
    config = make_config(options)
    styles = [style for style in STYLES if style in (options.style or STYLES)]
    paths = find_photos(options.photos)
    photos, clips = part_clips(paths, options.out)
    check_stickers_kept(photos, clips, styles, config.num_people)
    backend = open_finding(options, config, photos, clips)
    write = functools.partial(write_stickers, config=config, styles=styles)
    photo_results = map_photos(write, backend, photos, config)
    failed = report_photos(photos, photo_results, describe_stickers, config.threshold, "sticker")
    is_smooth = not options.no_smoothing
    clip_results = make_stickers(backend, clips, config, styles, options.start, is_smooth)
    failed += report_clips(clips, clip_results, describe_stickers, config.threshold)
    end(failed, len(paths))


def parse_start(text):
    """Parse seconds, 0 or more."""
    try:
        start = float(text)
    except ValueError:
        start = -1.0
    if not 0 <= start < float("inf"):  # NaN too
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return start

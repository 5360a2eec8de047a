"""`hourglass sticker`: people on photographs and in clips as stickers for chats."""

import functools

from hourglass.commands.arguments import add_sticker_options, check_ways, make_request
from hourglass.commands.clips import load_clips, make_stickers
from hourglass.commands.files import check_stickers_kept, find_photos, name_outputs, part_clips
from hourglass.commands.messages import describe_stickers, end, report_clips, report_photos
from hourglass.commands.models import find_model, warn_of_drawings
from hourglass.prediction.finders import open_finder
from hourglass.prediction.photos import predict_files
from hourglass.stickers.making import write_stickers
from hourglass.stickers.styles import STYLES


def add_command(commands):
    """Add `hourglass sticker` to the subparsers of the command."""
    text = "make stickers for chats of people on photographs and in clips"
    parser = commands.add_parser(
        "sticker", help=text, description=f"{text[0].upper()}{text[1:]}, 512 x 512 px, "
        "transparent, within the limits of WhatsApp and Telegram: writes NAME_STYLE.webp and "
        "NAME_STYLE.png of a photograph, NAME_STYLE.webp and NAME_STYLE.webm, three seconds, of a "
        "clip; of several people also NAME_STYLE_2 and so on.",
    )  # fmt: skip
    add_sticker_options(parser)
    parser.set_defaults(run=run_sticker)


def run_sticker(options):
    """Write the stickers of every photograph and clip.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    check_ways(options)
    request = make_request(options)
    styles = [style for style in STYLES if style in (options.style or STYLES)]
    paths = find_photos(options.photos)
    photos, clips = part_clips([(p, options.out / name) for p, name in name_outputs(paths)])
    check_stickers_kept(photos, clips, styles, request.num_people)
    if clips:
        load_clips()  # before anything is written
    model = options.model or find_model()
    finder = open_finder(model, not options.no_flip_test, len(photos) * request.num_views)
    warn_of_drawings(model, finder.trained_on)
    options.out.mkdir(parents=True, exist_ok=True)
    write = functools.partial(write_stickers, styles=styles)
    photo_results = predict_files(finder, photos, request, write)
    failed = report_photos(photos, photo_results, describe_stickers, request.threshold, "sticker")
    is_smooth = not options.no_smoothing
    clip_results = make_stickers(finder, clips, request, styles, options.start, is_smooth)
    failed += report_clips(clips, clip_results, describe_stickers, request.threshold)
    end(failed, len(paths))

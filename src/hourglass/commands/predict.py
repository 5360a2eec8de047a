"""`hourglass predict`: people found on photographs and in clips, and drawn."""

import contextlib
import itertools
import sys
import warnings

from tqdm import tqdm

from hourglass.commands.arguments import add_predict_options, check_ways
from hourglass.commands.clips import load_clips, predict_clips
from hourglass.commands.files import check_no_overwrite, find_photos, name_outputs
from hourglass.commands.messages import describe_people, describe_tracks, report
from hourglass.commands.models import find_model, warn_of_drawings
from hourglass.errors import UserError
from hourglass.prediction.finders import open_finder
from hourglass.prediction.people import THRESHOLD
from hourglass.prediction.photos import Request, predict_files
from hourglass.video.forms import is_clip


def add_command(commands):
    """Add `hourglass predict` to the subparsers of the command."""
    text = "find people on photographs and in clips, and draw their poses"
    parser = commands.add_parser(
        "predict", help=text, description=f"{text[0].upper()}{text[1:]}: writes NAME.png, the "
        "drawn picture, and NAME.json, the joints in pixels with their scores; of a clip NAME.mp4 "
        "and NAME.jsonl, a line a frame.",
    )  # fmt: skip
    add_predict_options(parser)
    parser.set_defaults(run=run_predict)


def run_predict(options):
    """Write the drawn picture and the joints of every photograph; of clips as well.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    check_ways(options)
    request = make_request(options)
    paths = find_photos(options.photos) + options.camera
    files = [(path, options.out / name) for path, name in name_outputs(paths)]
    kinds = [is_clip(path) for path, _ in files]
    clips = list(itertools.compress(files, kinds))
    photos = [file for file, is_moving in zip(files, kinds, strict=True) if not is_moving]
    check_no_overwrite(photos, clips)
    if clips:
        load_clips()  # before anything is written
    model = options.model or find_model()
    finder = open_finder(model, not options.no_flip_test, len(photos) * request.num_views)
    warn_of_drawings(model, finder.trained_on)
    options.out.mkdir(parents=True, exist_ok=True)
    failed = run_photos(finder, photos, request)
    failed += run_clips(finder, clips, request, not options.no_smoothing)
    if failed and len(files) == 1:
        sys.exit(1)
    if failed:
        raise UserError(f"{failed} of {len(files)} files could not be used")


def make_request(options):
    """Whom the options ask for, a `Request`."""
    if options.box:
        return Request("box", options.box, threshold=None)
    if options.whole:
        return Request("whole", threshold=None)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    return Request(num_people=options.people or 1, threshold=threshold)


def run_photos(finder, files, request):
    """Predict and report pairs (photo, target): how many could not be used."""
    failed = 0
    with (
        warnings.catch_warnings(),
        contextlib.closing(predict_files(finder, files, request)) as results,
    ):
        warnings.simplefilter("ignore")  # Pillow's on odd files: what matters is an error
        bar = tqdm(results, "predict", len(files), unit="image", disable=None, leave=False)
        for (photo, _), result in zip(files, bar, strict=True):
            failed += isinstance(result, UserError)
            report(photo, result, describe_people, request.threshold)
    return failed


def run_clips(finder, files, request, is_smooth):
    """Predict and report pairs (clip or camera, target): how many could not be used."""
    failed = 0
    results = predict_clips(finder, files, request, is_smooth)
    for (clip, _), result in zip(files, results, strict=True):
        failed += isinstance(result, UserError)
        report(clip, result, describe_tracks, request.threshold)
    return failed

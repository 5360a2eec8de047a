"""`hourglass predict`: people found on photographs and in clips, and drawn."""

from hourglass.commands.arguments import add_predict_options, check_inputs, check_ways, make_request
from hourglass.commands.clips import load_clips, predict_clips
from hourglass.commands.files import check_no_overwrite, find_photos, name_outputs, part_clips
from hourglass.commands.messages import (
    describe_people,
    describe_tracks,
    end,
    report_clips,
    report_photos,
)
from hourglass.commands.models import find_model, warn_of_drawings
from hourglass.commands.records import run_records
from hourglass.prediction.finders import open_finder
from hourglass.prediction.photos import predict_files


def add_command(commands):
    """Add `hourglass predict` to the subparsers of the command."""
    text = "find people on photographs and in clips, and draw their poses"
    parser = commands.add_parser(
        "predict", help=text, description=f"{text[0].upper()}{text[1:]}: writes NAME.png, the "
        "drawn picture, and NAME.json, the joints in pixels with their scores; of a clip NAME.mp4 "
        "and NAME.jsonl, a line a frame. With --records one file of joints for all pictures.",
    )  # fmt: skip
    add_predict_options(parser)
    parser.set_defaults(run=run_predict)


def run_predict(options):
    """Write the drawn picture and the joints of every photograph; of clips as well.

    A file that cannot be used is named and passed over; then the exit code is 1.
    """
    check_inputs(options)
    check_ways(options)
    request = make_request(options)
    if options.records:
        run_records(options, request)
        return
    paths = find_photos(options.photos) + options.camera
    files = [(path, options.out / name) for path, name in name_outputs(paths)]
    photos, clips = part_clips(files)
    check_no_overwrite(photos, clips)
    if clips:
        load_clips()  # before anything is written
    model = options.model or find_model()
    finder = open_finder(model, not options.no_flip_test, len(photos) * request.num_views)
    warn_of_drawings(model, finder.trained_on)
    options.out.mkdir(parents=True, exist_ok=True)
    photo_results = predict_files(finder, photos, request)
    failed = report_photos(photos, photo_results, describe_people, request.threshold, "predict")
    clip_results = predict_clips(finder, clips, request, not options.no_smoothing)
    failed += report_clips(clips, clip_results, describe_tracks, request.threshold)
    end(failed, len(files))

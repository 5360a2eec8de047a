"""The `hourglass` command: `hourglass predict photo.jpg [clip.mp4 ...]`, `hourglass export`."""

import contextlib
import itertools
import math
import sys
import warnings
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from hourglass.arguments import (
    add_export_options,
    add_predict_options,
    check_ways,
    join_box,
    name_export,
)
from hourglass.errors import ArgumentParser, UserError, exit_on_user_error
from hourglass.prediction.finders import open_finder
from hourglass.prediction.people import THRESHOLD
from hourglass.prediction.photos import Request, is_record, predict_files
from hourglass.shipped import shipped_network
from hourglass.video.command import describe_written, load_clips, predict_clips
from hourglass.video.forms import is_clip

MODEL = Path("models/hourglass.keras")
NOTES = (".json", ".jsonl", ".txt", ".csv", ".xml", ".yaml", ".md")  # annotations too


@exit_on_user_error
def main():
    """Entry point of the `hourglass` command."""
    options = make_parser().parse_args(join_box(sys.argv[1:]))
    sys.stdout.reconfigure(errors="backslashreplace")  # file names may hold any bytes
    try:
        options.run(options)
    except OSError as error:
        path = show_path(error.filename or "output")
        raise UserError(f"{path}: {error.strerror}; fix it, or choose another --out") from None


def make_parser():
    """The parser of the command line."""
    parser = ArgumentParser(prog="hourglass", description="Human poses on photographs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {find_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "find people on photographs and in clips, and draw their poses"
    predict = commands.add_parser(
        "predict", help=text, description=f"{text[0].upper()}{text[1:]}: writes NAME.png, the "
        "drawn picture, and NAME.json, the joints in pixels with their scores; of a clip NAME.mp4 "
        "and NAME.jsonl, a line a frame.",
    )  # fmt: skip
    add_predict_options(predict, MODEL, THRESHOLD)
    predict.set_defaults(run=run_predict)
    text = "write a trained network for another runtime"
    export = commands.add_parser(
        "export", help=text, description=f"{text[0].upper()}{text[1:]}, as one file from pixels of "
        "a square to keypoints, and hold it against Keras.",
    )  # fmt: skip
    add_export_options(export, MODEL)
    export.set_defaults(run=run_export)
    return parser


def find_version():
    """The installed version."""
    try:
        return metadata.version("hourglass")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def run_predict(options):
    """Write `<name>.png`, the drawn picture, and `<name>.json` for every photograph; clips as well.

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
    finder = open_finder(model, not options.no_flip_test, len(photos))
    warn_of_drawings(model, finder)
    options.out.mkdir(parents=True, exist_ok=True)
    failed = run_photos(finder, photos, request)
    failed += run_clips(finder, clips, request, not options.no_smoothing)
    if failed and len(files) == 1:
        sys.exit(1)
    if failed:
        raise UserError(f"{failed} of {len(files)} files could not be used")


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
            report(photo, result, describe_people, request)
    return failed


def run_clips(finder, files, request, is_smooth):
    """Predict and report pairs (clip or camera, target): how many could not be used."""
    failed = 0
    results = predict_clips(finder, files, request, is_smooth)
    for (clip, _), result in zip(files, results, strict=True):
        failed += isinstance(result, UserError)
        report(clip, result, describe_written, request)
    return failed


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


def make_request(options):
    """Whom the options ask for, a `Request`."""
    if options.box:
        return Request("box", options.box, threshold=None)
    if options.whole:
        return Request("whole", threshold=None)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    return Request(num_people=options.people or 1, threshold=threshold)


def report(path, result, describe, request):
    """Say on stdout what was written, or on stderr what is wrong with the file."""
    # tqdm's own, which leaves the bar in its place.
    if isinstance(result, UserError):
        tqdm.write(f"error: {show_path(path)}: {result}", file=sys.stderr)
        return
    written = ", ".join(map(show_path, result[:2]))
    tqdm.write(f"{show_path(path)}: {written}, {describe(result, request.threshold)}")


def describe_people(result, threshold):
    """How many people were found, and how sure they are."""
    scores = ", ".join(f"{score:.2f}" for score in result.scores)
    if len(result.scores) > 1:
        return f"{len(result.scores)} people, scores {scores}"
    if result.scores:
        return f"1 person, score {scores}"
    # Rounded down: a score just below the threshold must not read as if it had reached it.
    best = math.floor(100 * result.best) / 100
    return f"nobody found: best score {best:.2f} is below --threshold {threshold:g}"


def find_model():
    """The network trained in this folder, or else the shipped one, which is said on stderr.

    Raises:
        UserError: neither is there.
    """
    if MODEL.exists():
        return MODEL
    path = shipped_network()
    print(
        f"note: no {MODEL} here; using the shipped network (photographs of sports, Leeds Sports "
        "Pose Extended; for research use only)",
        file=sys.stderr,
    )
    return path


def warn_of_drawings(path, finder):
    """Warn on stderr of a network, in `path`, that has seen no photograph."""
    if finder.trained_on == "synthetic":
        print(
            f"warning: {show_path(path)} was trained on drawn figures alone: on photographs "
            "neither its joints nor its scores mean anything",
            file=sys.stderr,
        )


def find_photos(paths):
    """The files named, and those in the folders named, in order.

    Raises:
        UserError: a path does not exist, or a folder has no files.
    """
    photos = []
    for path in paths:
        try:
            photos += list_files(path)
        except OSError as error:
            reason = f"{error.strerror}; fix its permissions or name other pictures"
            raise UserError(f"{show_path(path)}: {reason}") from None
    return photos


def list_files(path):
    """A file, or the files of a folder, sorted: not the hidden ones, notes or annotations."""
    if not path.exists():
        raise UserError(f"{show_path(path)}: no such file")
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.is_file() and not is_note(p))
    if not found:
        raise UserError(f"{show_path(path)}: no pictures in this folder; name another")
    return found


def is_note(path):
    """Whether a file's name says that it only accompanies pictures."""
    return path.name.startswith(".") or path.suffix.lower() in NOTES


def name_outputs(photos):
    """Pair each photograph with an output name of its own: the stem, numbered where taken."""
    taken = set()
    for photo in photos:
        name, number = photo.stem, 2
        while name in taken:
            name, number = f"{photo.stem}_{number}", number + 1
        taken.add(name)
        yield photo, name


def check_no_overwrite(photos, clips):
    """Refuse an output folder in which an input, or another program's JSON, would be overwritten.

    Args:
        photos, clips: pairs of a path and its target.
    """
    inputs = {path.resolve(): what for files, what in ((photos, "photograph"), (clips, "clip"))
              for path, _ in files}  # fmt: skip
    for files, kind in ((photos, "png"), (clips, "mp4")):
        for _, target in files:
            drawn = target.with_name(f"{target.name}.{kind}")
            if what := inputs.get(drawn.resolve()):
                raise UserError(f"{show_path(drawn)}: is a {what}; choose another --out")
    for _, target in photos:
        # Labelling tools keep theirs beside the photograph, under its name.
        record = target.with_name(f"{target.name}.json")
        if record.is_file() and not is_record(record):
            raise UserError(f"{show_path(record)}: was not written by this; choose another --out")


def show_path(path):
    """The path as one line: line breaks and what else cannot be printed are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))

"""`hourglass predict` and its stage: any file, folder, box and option, damaged networks."""

import io
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.marks import mostly_slow
from helpers.processes import environment
from hourglass import shipped
from hourglass.inference import runner

PIXELS = np.random.default_rng(1).integers(0, 256, (80, 60, 3), np.uint8)


@pytest.fixture
def hourglass(hourglass):
    """The same, which warns of no more than small boxes, and says nothing else but errors."""

    def run(*arguments, **settings):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            warnings.simplefilter("always", RuntimeWarning)  # Pillow's on large pictures
            code, out, err = hourglass(*arguments, **settings)
        assert [str(warning.message) for warning in warned] == []
        err = [line for line in err if not line.startswith("warning: --box is ")]
        assert all(line.startswith("error: ") for line in err), err
        return code, out, err

    return run


def encode(kind="JPEG", mode="RGB", pixels=PIXELS, **settings):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **settings)
    return buffer.getvalue()


def encode_16_bit():
    buffer = io.BytesIO()
    Image.fromarray((PIXELS[..., 0].astype(np.uint16) << 8) + 77).save(buffer, "PNG")
    return buffer.getvalue()


def encode_rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(exif=exif)


def make_png(width, height, data):
    def chunk(name, body):
        checksum = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


GOOD = {
    "jpeg.jpg": encode,
    "progressive.jpg": lambda: encode(progressive=True),
    "cmyk.jpg": lambda: encode(mode="CMYK"),
    "grey.jpg": lambda: encode(mode="L"),
    "16_bit.png": encode_16_bit,
    "palette.png": lambda: encode("PNG", "P"),
    "bitmap.png": lambda: encode("PNG", "1"),
    "transparent.png": lambda: encode("PNG", "RGBA"),
    "grey_transparent.png": lambda: encode("PNG", "LA"),
    "palette_transparent.gif": lambda: encode("GIF", "P", transparency=0),
    "photo.webp": lambda: encode("WEBP"),
    "photo.tiff": lambda: encode("TIFF"),
    "photo.bmp": lambda: encode("BMP"),
    "rotated.jpg": encode_rotated,
    "1x1.png": lambda: encode("PNG", pixels=PIXELS[:1, :1]),
    "no_person.jpg": lambda: encode(pixels=np.full((80, 60, 3), 128, np.uint8)),
    "black.png": lambda: encode("PNG", pixels=np.zeros((80, 60, 3), np.uint8)),
    "a jpeg named.png": encode,
    "no_suffix": encode,
    "two words.jpg": encode,
    "ünï写真\u202e.jpg": encode,
    "line\nbreak.jpg": encode,
    "-dash.jpg": encode,
    "'quote\".jpg": encode,
    "x" * 240 + ".jpg": encode,
    "bytes_after_the_end.jpg": lambda: encode() + b"\0" * 1000,
}
BAD = {
    "empty.jpg": (lambda: b"", "empty file"),
    "text.jpg": (lambda: b"not a picture\n", "not a picture"),
    "zeros.jpg": (lambda: bytes(5000), "not a picture"),
    "truncated.jpg": (lambda: encode()[:1000], "truncated"),
    "header_alone.jpg": (lambda: encode()[:20], "cannot be decoded"),
    "truncated.png": (lambda: encode("PNG")[:3000], "truncated"),
    "truncated.gif": (lambda: encode("GIF", "P")[:900], "cannot be decoded"),
    "truncated.tiff": (lambda: encode("TIFF")[:3000], "cannot be decoded"),
    "bit_rot.png": (lambda: encode("PNG").replace(b"IDAT", b"IDAT\xff\xff"), "cannot be decoded"),
    "bomb.png": (
        lambda: make_png(30_000, 30_000, zlib.compress(bytes(1000))),
        "Image size (900000000 pixels) exceeds limit",
    ),
    "large.png": (
        lambda: make_png(11_000, 11_000, zlib.compress(bytes(1000))),
        "11000 x 11000 px, more than 100,000,000",
    ),
    "1x2000.png": (
        lambda: encode("PNG", pixels=np.zeros((2000, 1, 3), np.uint8)),
        "1 x 2000 px is too narrow to show a person; name a --box within it",
    ),
    "no_pixels.png": (lambda: make_png(50, 50, zlib.compress(b"")), "cannot be decoded"),
    "zero_wide.png": (lambda: make_png(0, 50, zlib.compress(b"")), "cannot be decoded"),
    "page.svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "archive.jpg": (lambda: b"PK\x05\x06" + bytes(18), "not a picture"),
}


def find_targets(folder="poses"):
    """The pairs of picture and record; nothing else lies there."""
    names = sorted(path.name for path in Path(folder).iterdir())
    assert [name for name in names if not name.endswith((".png", ".json"))] == []
    assert not any(name.startswith(".") for name in names)
    return {name.removesuffix(".json") for name in names if name.endswith(".json")}


QUICK = ("cmyk.jpg", "16_bit.png", "palette_transparent.gif", "rotated.jpg", "1x1.png", "-dash.jpg")


@pytest.mark.parametrize("name", mostly_slow(GOOD, *QUICK), ids=lambda name: ascii(name)[1:-1][:30])
def test_a_picture_of_any_kind_is_predicted(hourglass, name):
    data = GOOD[name]()
    Path("photos").mkdir()
    Path("photos", name).write_bytes(data)
    # A network of random weights is sure of nothing.
    code, out, err = hourglass(Path("photos", name), "--threshold", "0")
    assert (code, err) == (0, [])
    assert len(out) == 1
    (target,) = find_targets()
    record = json.loads(Path("poses", f"{target}.json").read_text())
    assert record["image"] == f"photos/{name}"
    with Image.open(io.BytesIO(data)) as picture:
        turned = name == "rotated.jpg"
        size = picture.size[::-1] if turned else picture.size
    with Image.open(Path("poses", f"{target}.png")) as drawn:
        assert (drawn.size, drawn.mode) == (size, "RGB")
    (person,) = record["people"]
    numbers = [[joint[key] for key in ("x", "y", "score")] for joint in person["joints"].values()]
    assert np.shape(numbers) == (16, 3) and np.isfinite(numbers).all()


@pytest.mark.parametrize(
    "name", mostly_slow(BAD, "empty.jpg", "truncated.png", "bomb.png", "1x2000.png", "page.svg")
)
def test_a_file_that_is_no_picture_is_one_line(hourglass, name):
    make, reason = BAD[name]
    Path(name).write_bytes(make())
    code, out, err = hourglass(name)
    assert (code, out) == (1, [])
    assert err[0].startswith(f"error: {name}: ") and reason in err[0]
    assert err[1:] == []
    assert find_targets() == set()


def test_a_folder_of_all_of_them_predicts_the_good_ones(hourglass):
    Path("photos").mkdir()
    for name, make in GOOD.items():
        Path("photos", name).write_bytes(make())
    for name, (make, _) in BAD.items():
        Path("photos", name).write_bytes(make())
    code, out, err = hourglass("photos")
    assert code == 1
    assert len(out) == len(find_targets()) == len(GOOD)
    images = {json.loads(path.read_text())["image"] for path in Path("poses").glob("*.json")}
    assert images == {f"photos/{name}" for name in GOOD}
    assert sorted(line.split(": ")[1] for line in err[:-1]) == sorted(f"photos/{n}" for n in BAD)
    assert err[-1] == f"error: {len(BAD)} of {len(GOOD) + len(BAD)} files could not be used"


def test_a_folder_that_changes_while_it_is_read(hourglass, monkeypatch):
    Path("photos").mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Path("photos", name).write_bytes(encode())
    open_photo = runner.open_photo

    def remove_and_open(file, config):
        Path("photos/b.jpg").unlink(missing_ok=True)
        return open_photo(file, config)

    monkeypatch.setattr(runner, "open_photo", remove_and_open)
    code, out, err = hourglass("photos")
    assert (code, len(out)) == (1, 2)
    assert err[0] == "error: photos/b.jpg: cannot be read: No such file or directory"
    assert find_targets() == {"a", "c"}


PATHS = {
    "a missing file": ("absent.jpg", "absent.jpg: no such file"),
    "an empty name": ("", "no pictures in this folder"),
    "an empty folder": ("nothing", "nothing: no pictures in this folder"),
    "a folder of folders": ("outer", "outer: no pictures in this folder"),
    "a dangling link": ("dangling.jpg", "dangling.jpg: no such file"),
    "a link to itself": ("loop.jpg", "loop.jpg: "),
    "a name that is too long": ("x" * 300, "File name too long"),
    "a file as a folder": ("photo.jpg/inner.jpg", "photo.jpg/inner.jpg: "),
}


@pytest.mark.parametrize("case", PATHS)
def test_a_path_that_leads_nowhere_is_one_line(hourglass, case):
    path, reason = PATHS[case]
    Path("nothing").mkdir()
    Path("outer/inner").mkdir(parents=True)
    Path("dangling.jpg").symlink_to("gone")
    Path("loop.jpg").symlink_to("loop.jpg")
    if case != "an empty name":
        Path("photo.jpg").write_bytes(encode())
        code, out, err = hourglass("photo.jpg", path)
    else:
        os.chdir("nothing")
        code, out, err = hourglass(path)
    assert (code, out, len(err)) == (1, [], 1)
    assert reason in err[0]
    assert not Path("poses").exists()


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "pipe"])
def test_what_is_no_file_is_not_read_for_ever(hourglass, device):
    if device == "pipe":
        os.mkfifo("pipe")
    code, out, err = hourglass(device)
    assert (code, out) == (1, [])
    assert err[0].startswith(f"error: {device}: ")


BOXES = {
    "right of it": "70,0,10,10",
    "left of it": "-50,0,10,10",
    "above it": "0,-50,10,10",
    "below it": "0,100,10,10",
    "far away": "90000,90000,5,5",
    "too large to see it": "0,0,900000,900000",
}


@pytest.mark.parametrize("place", mostly_slow(BOXES, "left of it"))
def test_a_box_outside_is_one_line(hourglass, place):
    Path("photo.png").write_bytes(encode("PNG"))
    code, out, err = hourglass("photo.png", f"--box={BOXES[place]}")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"error: photo.png: the box {BOXES[place]} leaves nothing to see")
    assert find_targets() == set()


@pytest.mark.parametrize("box", ["-10,-10,20,20", "0,0,300,300", "30,40,0.01,0.01", "59,79,1,1"])
def test_a_box_that_touches_it_is_predicted(hourglass, box):
    Path("photo.png").write_bytes(encode("PNG"))
    assert hourglass("photo.png", f"--box={box}")[::2] == (0, [])
    assert find_targets() == {"photo"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["--box", "1,2,3,4", "--whole"],
            "--box and --whole exclude each other: each says where ",
        ),
        (["--boxes", "b.json", "--whole"], "--boxes and --whole exclude each other: "),
        (["--boxes", "b.json", "--box", "1,2,3,4"], "--box and --boxes exclude each other: "),
        (["--boxes", "b.json", "--people", "2"], "--people cannot be combined with --boxes, "),
        (["--boxes", "b.json", "--threshold", "0"], "--threshold cannot be combined with --boxes"),
        (["--boxes", "b.json", "--camera", "0"], "--boxes is for files, not for a --camera; "),
        (
            ["--people", "2", "--whole"],
            "--people cannot be combined with --whole, which says where ",
        ),
        (["--people", "1", "--box", "1,2,3,4"], "--people cannot be combined with --box, "),
        (["--threshold", "0.3", "--box=1,2,3,4"], "--threshold cannot be combined with --box, "),
        (["--threshold", "0", "--whole"], "--threshold cannot be combined with --whole, "),
    ],
)
def test_options_that_exclude_each_other_are_one_line(hourglass, options, reason):
    Path("photo.jpg").write_bytes(encode())
    code, out, (line,) = hourglass("photo.jpg", *options)
    assert (code, out) == (1, []) and line.startswith(f"error: {reason}")
    assert not Path("poses").exists()


def detect(**fields):
    """A list of detections, its second record of the given fields: text of JSON."""
    good = {"file_name": "photo.jpg", "bbox": [10, 5, 40, 50], "category_id": 1, "score": 0.5}
    record = {key: value for key, value in (good | fields).items() if value != "left out"}
    return json.dumps([good, record])


def annotate(**changes):
    """COCO's object of one annotation: text of JSON."""
    entry = {"image_id": 1, "category_id": 1, "bbox": [10, 5, 40, 50]} | changes
    return json.dumps(
        {"images": [{"id": 1, "file_name": "photo.jpg"}], "annotations": [entry]}
        | {"categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]}
    )


NOT_FOUR, NOT_POSITIVE = "bbox is not 4 finite numbers", "width and height must be positive"
HEADER = "image,x,y,width,height,score\n"
BOX_FILES = {
    "empty": ("b.json", "", "the file is empty; name COCO's"),
    "no JSON": ("b.json", "[{", "not JSON at line 1"),
    "CSV without its suffix": ("b.txt", HEADER, "not JSON at line 1 column 1"),
    "bytes": ("b.json", b"\xff\xfe[\0", "not UTF-8 at byte 0"),
    "a number": ("b.json", "7", "is not in COCO's form; name COCO's"),
    "another object": ("b.json", '{"images": []}', "is not in COCO's form; "),
    "records of text": ("b.json", '["photo.jpg"]', "record 0: not an object; fix the record or "),
    "no bbox": ("b.json", detect(bbox="left out"), f"record 1: {NOT_FOUR}; fix the record or "),
    "three numbers": ("b.json", detect(bbox=[1, 2, 3]), f"record 1: {NOT_FOUR}"),
    "numbers as text": ("b.json", detect(bbox=["1", "2", "3", "4"]), f"record 1: {NOT_FOUR}"),
    "not finite": ("b.json", detect(bbox=[1, 2, float("nan"), 4]), f"record 1: {NOT_FOUR}"),
    "no width": ("b.json", detect(bbox=[1, 2, 0, 4]), f"record 1: box 1,2,0,4: {NOT_POSITIVE}"),
    "far away": ("b.json", detect(bbox=[1e7, 2, 3, 4]), "record 1: box 1e+07,2,3,4: "),
    "no picture": ("b.json", detect(file_name="left out"), "record 1: no 'file_name', and no "),
    "id of text": ("b.json", detect(file_name="", image_id="139"), "record 1: no 'file_name'"),
    "half an id": ("b.json", detect(file_name=None, image_id=1.5), "record 1: no 'file_name'"),
    "score of text": ("b.json", detect(score="high"), "record 1: score is not a finite number"),
    "dogs": ("b.json", '[{"file_name": "photo.jpg", "category_id": 18, "bbox": [1, 2, 3, 4]}]',
             "has no box of a person: category_id 1 in a list of detections"),
    "annotated dogs": ("b.json", annotate(category_id=2), "has no box of a person: "),
    "no such image": ("b.json", annotate(image_id=5), "annotations 0: image_id 5 is not among "),
    "annotated text": ("b.json", annotate(bbox="1,2,3,4"), f"annotations 0: {NOT_FOUR}"),
    "no list of images": ("b.json", '{"images": 7, "annotations": [], "categories": []}',
                          "images is not a list; name COCO's"),
    "an empty CSV": ("b.csv", "", "line 1: a header with image, x, y, width, height and perhaps "),
    "no header": ("b.csv", "photo.jpg,1,2,3,4\n", "line 1: a header with image, x, y, width, "),
    "semicolons": ("b.csv", HEADER.replace(",", ";"), "line 1: a header with image, x, y, width, "),
    "UTF-16": ("b.csv", HEADER.encode("utf-16"), "line 1: a header with image, x, y, width, "),
    "a short row": ("b.csv", HEADER + "photo.jpg,1,2,3\n", "line 2: another number of fields "),
    "a long row": ("b.csv", HEADER + "photo.jpg,1,2,3,4,1,9\n", "line 2: another number of fields"),
    "no image": ("b.csv", HEADER + ",1,2,3,4,1\n", "line 2: no image; fix the record or remove it"),
    "words": ("b.csv", HEADER + "photo.jpg,1,2,wide,4,1\n", "line 2: width is 'wide', not a "),
    "no score": ("b.csv", HEADER + "photo.jpg,1,2,3,4,\n", "line 2: score is '', not a finite "),
    "no height": ("b.csv", HEADER + "photo.jpg,1,2,3,0,1\n", "line 2: box 1,2,3,0: "),
    "one huge field": ("b.csv", HEADER + '"' + 200_000 * "x", "not CSV: field larger than "),
}  # fmt: skip


@pytest.mark.parametrize("case", BOX_FILES)
def test_a_bad_file_of_boxes_is_one_line(hourglass, case):
    name, content, reason = BOX_FILES[case]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("photo.jpg").write_bytes(encode())
    for options in ([], ["--records"]):
        code, out, (line,) = hourglass("photo.jpg", "--boxes", name, *options)
        assert (code, out) == (1, []) and line.startswith(f"error: {name}: {reason}"), line
        assert not Path("poses").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.json", "not found; name COCO's"),
        ("gone.csv", "cannot be read: No such file or directory; name COCO's"),
        ("folder", "is a folder, a device or a pipe, not a file; name COCO's"),
        ("/dev/zero", "is a folder, a device or a pipe, not a file; name COCO's"),
    ],
)
def test_a_path_of_no_file_of_boxes_is_one_line(hourglass, name, reason):
    Path("folder").mkdir()
    Path("photo.jpg").write_bytes(encode())
    code, out, (line,) = hourglass("photo.jpg", "--boxes", name)
    assert (code, out) == (1, []) and line.startswith(f"error: {name}: {reason}")


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many", "", "1000", "٣"])
def test_a_bad_number_of_people_is_one_line(hourglass, number):
    Path("photo.jpg").write_bytes(encode())
    code, out, (line,) = hourglass("photo.jpg", f"--people={number}")
    assert (code, out) == (1, [])
    assert line.startswith(f"error: argument --people: {number!r} is not a whole number from 1 to ")


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "nan", "inf", "half", "", "0,5"])
def test_a_bad_threshold_is_one_line(hourglass, threshold):
    Path("photo.jpg").write_bytes(encode())
    code, out, (line,) = hourglass("photo.jpg", f"--threshold={threshold}")
    assert (code, out) == (1, [])
    assert line.startswith(f"error: argument --threshold: {threshold!r} is not a number from 0 to ")


# Networks


def rewrite_member(path, suffix, change):
    """Change the bytes of the first member of a `.keras` archive that ends so."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith(suffix))
    members[name] = change(members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            if data is not None:
                archive.writestr(member, data)


def flip_middle(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def save_other_network(path):
    import keras

    layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(5, 3)]
    keras.Sequential(layers).save(path)


NETWORKS = {
    "empty": lambda path: path.write_bytes(b""),
    "a text file": lambda path: path.write_text("network"),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last byte cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "bytes flipped": flip_middle,
    "an empty archive": lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
    "no weights": lambda path: rewrite_member(path, ".h5", lambda _: None),
    "cut weights": lambda path: rewrite_member(path, ".h5", lambda data: data[:5000]),
    "no config": lambda path: rewrite_member(path, "config.json", lambda _: None),
    "config is no JSON": lambda path: rewrite_member(path, "config.json", lambda data: data[:99]),
    "config of nothing": lambda path: rewrite_member(path, "config.json", lambda _: b"{}"),
    "config is a list": lambda path: rewrite_member(path, "config.json", lambda _: b"[]"),
    "another network": save_other_network,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", NETWORKS)
def test_a_damaged_network_is_one_line_before_anything_is_written(hourglass, model_file, damage):
    path = Path("network.keras")
    shutil.copy(model_file, path)
    NETWORKS[damage](path)
    Path("photo.jpg").write_bytes(encode())
    code, out, err = hourglass("photo.jpg", model=path)
    assert (code, out, len(err)) == (1, [], 1), err
    assert err[0].startswith("error: network.keras: ")
    assert "train" in err[0] or "not an hourglass network" in err[0]
    assert not Path("poses").exists()


def test_an_installation_without_the_shipped_network_is_one_line(hourglass, monkeypatch, tmp_path):
    Path("photo.jpg").write_bytes(encode())
    monkeypatch.setattr(shipped, "__file__", str(tmp_path / "__init__.py"))
    code, out, (line,) = hourglass("photo.jpg", model=None)
    assert (code, out) == (1, [])
    path = tmp_path / "photographs.keras"
    assert line == f"error: {path}: missing; install hourglass again, or name another network"
    assert not Path("poses").exists()


def test_a_full_disk_is_one_line_and_leaves_no_half_picture(hourglass):
    Path("photo.jpg").write_bytes(encode())
    Path("poses").mkdir()
    Path("poses/.photo.png.tmp").symlink_to("/dev/full")
    code, out, err = hourglass("photo.jpg")
    assert (code, out, len(err)) == (1, [], 1)
    assert "photo.png: No space left on device" in err[0]
    # The record is whole, and tells the next run that the picture is its own.
    assert find_targets() == {"photo"}
    Path("poses/.photo.png.tmp").unlink(missing_ok=True)
    assert hourglass("photo.jpg")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("output", ["", "2>&1"])
def test_with_a_closed_output_it_ends_without_a_word(tmp_path, model_file, output):
    Path(tmp_path, "photo.jpg").write_bytes(encode())
    Path(tmp_path, "bad.jpg").write_bytes(b"")
    code = "from hourglass.cli.main import main; main()"
    words = [sys.executable, "-c", code, "predict", "photo.jpg", "bad.jpg", "--model", model_file]
    line = f"{shlex.join(map(str, words))} {output} | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("141\n", "")


@pytest.mark.slow
def test_an_interrupt_leaves_whole_files_alone(tmp_path, model_file):
    Path(tmp_path, "photos").mkdir()
    for number in range(3000):
        Path(tmp_path, "photos", f"{number}.jpg").write_bytes(encode())
    arguments = ["predict", "photos", "--model", model_file]
    # Where tests run in the background it may be ignored.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from hourglass.cli.main import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), text=True, bufsize=1,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()  # the first one is done
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted\n")
    assert 0 < len(find_targets(tmp_path / "poses")) < 3000
    for path in Path(tmp_path, "poses").iterdir():
        if path.suffix == ".png":
            Image.open(path).load()
        else:
            json.loads(path.read_text())

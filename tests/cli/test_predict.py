import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.paths import ROOT
from hourglass.cli import models
from hourglass.inference.outputs import COORDINATES
from hourglass.inference.person_search import THRESHOLD
from hourglass.keypoints import MPII
from hourglass.models.metadata import NAME
from hourglass.models.saving import save_network


def save_picture(path, size=(60, 80), mode="RGB", **settings):
    pixels = np.random.default_rng(1).integers(0, 256, (*size[::-1], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **settings)
    return path


def outputs(folder="poses"):
    return sorted(path.name for path in Path(folder).iterdir())


def read_record(folder="poses"):
    return json.loads(Path(folder, "photo.json").read_text())


def test_a_photograph_becomes_a_picture_and_a_record(hourglass):
    photo = save_picture(Path("photo.jpg"))
    code, out, err = hourglass(photo, "--threshold", 0)
    assert (code, err, outputs()) == (0, [], ["photo.json", "photo.png"])
    line = r"photo\.jpg: poses/photo\.png, poses/photo\.json, 1 person, score \d\.\d\d"
    assert re.fullmatch(line, out[0])
    with Image.open("poses/photo.png") as drawn:
        assert (drawn.size, drawn.format) == ((60, 80), "PNG")
    record = read_record()
    assert (record["image"], record["coordinates"]) == ("photo.jpg", COORDINATES)
    assert record["mode"] == "search" and "bbox" not in record["people"][0]
    (person,) = record["people"]
    assert tuple(person["joints"]) == MPII.keypoints
    assert all(set(joint) == {"x", "y", "score", "visible"} for joint in person["joints"].values())


def test_a_photograph_without_people_says_so(hourglass):
    # A network of random weights is sure of nothing.
    photo = save_picture(Path("photo.jpg"))
    code, out, err = hourglass(photo)
    assert (code, err, outputs()) == (0, [], ["photo.json", "photo.png"])
    line = (
        r"photo\.jpg: poses/photo\.png, poses/photo\.json, no person found: best score "
        rf"-?\d\.\d\d is below --threshold {THRESHOLD:g}"
    )
    assert re.fullmatch(line, out[0])
    assert read_record()["people"] == []
    with Image.open("poses/photo.png") as drawn, Image.open(photo) as picture:
        np.testing.assert_array_equal(drawn, picture)


def test_the_threshold_is_the_least_score_of_a_person(hourglass):
    photo = save_picture(Path("photo.jpg"))
    hourglass(photo, "--threshold", 0)
    score = read_record()["people"][0]["score"]
    for threshold, number in ((score / 2, 1), (score * 2, 0)):
        hourglass(photo, "--threshold", threshold)
        assert len(read_record()["people"]) == number


def test_several_people_are_told_the_surest_first(hourglass, whole_finder):
    photo = save_picture(Path("photo.png"), size=(400, 100))
    whole_finder.shares = [(x, 0.375, 0.25, 0.25) for x in (0, 0.375, 0.75)]
    hourglass(photo, "--threshold", 0)
    assert len(read_record()["people"]) == 3
    _, (line,), _ = hourglass(photo, "--threshold", 0, "--people", 2)
    assert re.search(r"photo\.json, 2 people, scores \d\.\d\d, \d\.\d\d$", line)
    scores = [person["score"] for person in read_record()["people"]]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)


def test_the_whole_picture_may_be_the_person(hourglass):
    photo = save_picture(Path("photo.png"))
    code, (line,), _ = hourglass(photo, "--whole")
    assert code == 0 and "1 person, score" in line  # told to be there: no threshold
    record = read_record()
    assert (record["mode"], len(record["people"])) == ("whole", 1)


def test_a_folder_of_mixed_files(hourglass):
    folder = Path("photos")
    save_picture(folder / "good.jpg")
    save_picture(folder / "grey.jpg", mode="L")
    save_picture(folder / "same.jpg")
    save_picture(folder / "same.png", mode="RGBA")
    save_picture(folder / "two words \u00fc\u5199\u771f.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "picture").write_text("not a picture")
    for name in (".DS_Store", "notes.txt", "same.json"):  # passed over
        (folder / name).write_text("not a picture either")
    cut = save_picture(folder / "truncated.jpg")
    cut.write_bytes(cut.read_bytes()[:1000])
    (folder / "inner").mkdir()
    code, out, err = hourglass(folder)
    assert code == 1
    assert err.pop(0) == "note: no pictures, passed over: 1 .json, 1 .txt"
    assert [line.split(": ")[:3] for line in err[:2]] == [
        ["error", "photos/empty.jpg", "cannot be decoded"],
        ["error", "photos/picture", "cannot be decoded"],
    ]
    assert err[2].startswith("error: photos/truncated.jpg: cannot be decoded: ")
    assert err[3:] == ["error: 3 of 8 files could not be used"]
    names = ["good", "grey", "same", "same_2", "two words \u00fc\u5199\u771f"]
    assert outputs() == sorted(f"{name}.{kind}" for name in names for kind in ("json", "png"))
    assert len(out) == 5
    assert json.loads(Path("poses/same_2.json").read_text())["image"] == "photos/same.png"


def test_file_names_of_any_bytes_are_printed(hourglass):
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        Path(name).touch()
    except OSError as error:
        pytest.skip(f"this file system takes UTF-8 names alone: {error}")
    shutil.copy(save_picture(Path("ok.jpg")), name)
    code, out, _ = hourglass(name)
    assert code == 0 and out[0].startswith("caf\\udce9.jpg: ")
    assert json.loads(Path("poses/caf\udce9.json").read_text())["image"] == name


def test_the_box_is_what_the_network_sees(hourglass):
    photo = save_picture(Path("photo.png"), size=(200, 100))
    assert hourglass(photo, "--box", "150,50.5,40,30", "--out", "right")[0] == 0
    assert hourglass(photo, "--box=-10,0,40,30", "--out", "left")[0] == 0
    assert hourglass(photo, "--box", "-10,0,40,30", "--out", "apart")[0] == 0
    for folder, low, high in (("right", 150, 190), ("apart", -10, 30), ("left", -10, 30)):
        record = read_record(folder)
        joints = record["people"][0]["joints"].values()
        # Joints lie in the crop around the box, or in the second one, around what was found.
        assert all(low - 30 <= joint["x"] <= high + 30 for joint in joints)
    assert (record["mode"], record["people"][0]["bbox"]) == ("bbox", [-10, 0, 40, 30])
    assert read_record("left") == read_record("apart") != read_record("right")


def test_a_box_outside_of_one_picture_leaves_the_others(hourglass):
    save_picture(Path("photos/large.png"), size=(200, 100))
    save_picture(Path("photos/small.png"), size=(50, 50))
    code, _, err = hourglass("photos", "--box", "100,0,50,50")
    assert code == 1
    assert err.pop(0).startswith("warning: --box is used for each of 2 files; ")
    assert err[0].startswith("error: photos/small.png: the box 100,0,50,50 leaves nothing")
    assert outputs() == ["large.json", "large.png"]


@pytest.mark.parametrize(
    "box",
    [
        "", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,4", "1,2,3,-4", "nan,0,1,1", "0,0,inf,1",
        "1e9,0,1,1", "0,0,1e9,1", "1;2;3;4",
    ],
)  # fmt: skip
def test_a_bad_box_is_explained(hourglass, box):
    save_picture(Path("photo.jpg"))
    code, out, err = hourglass("photo.jpg", f"--box={box}")
    assert (code, out, len(err)) == (1, [], 1)
    assert err[0].startswith(f"error: argument --box: {box!r}")
    assert not Path("poses").exists()


def test_the_flip_test_can_be_turned_off(hourglass):
    photo = save_picture(Path("photo.jpg"))
    hourglass(photo, "--whole", "--out", "with")
    hourglass(photo, "--whole", "--out", "without", "--no-flip-test")
    assert read_record("with") != read_record("without")


def test_a_missing_file_stops_before_anything_is_written(hourglass):
    save_picture(Path("photo.jpg"))
    code, _, err = hourglass("photo.jpg", "absent.jpg")
    assert (code, err) == (1, ["error: absent.jpg: no such file"])
    assert not Path("poses").exists()


def test_an_empty_folder_is_named(hourglass):
    Path("nothing").mkdir()
    assert hourglass("nothing")[::2] == (
        1,
        ["error: nothing: no pictures in this folder; name another"],
    )


def test_a_missing_model_is_named(hourglass):
    save_picture(Path("photo.jpg"))
    code, _, err = hourglass("photo.jpg", model="absent.keras")
    assert code == 1
    assert err == [
        "error: absent.keras: no such network; train one (`dvc repro train`) or name another"
    ]


def test_where_nothing_was_trained_the_shipped_network_is_taken_and_named(
    hourglass, model_file, monkeypatch
):
    save_picture(Path("photo.jpg"))
    monkeypatch.setattr(models, "shipped_network", lambda: model_file)
    code, out, (line,) = hourglass("photo.jpg", model=None)
    assert (code, len(out)) == (0, 1)
    assert line == (
        "note: no models/hourglass.keras here; using the shipped network (photographs of people; "
        "for research use only)"
    )


def test_a_network_that_was_not_pulled_yet_is_told_of(hourglass, model_file, monkeypatch):
    save_picture(Path("photo.jpg"))
    shutil.copy(ROOT / "demo/dvc.lock", "dvc.lock")
    monkeypatch.setattr(models, "shipped_network", lambda: model_file)
    _, _, (line,) = hourglass("photo.jpg", model=None)
    assert line.startswith(
        "note: no models/hourglass.keras here (`dvc pull` or `dvc repro` brings the one of "
        "dvc.lock); using the shipped network"
    )


def test_the_network_trained_in_this_folder_comes_first(hourglass, model_file, monkeypatch):
    save_picture(Path("photo.jpg"))
    Path("models").mkdir()
    shutil.copy(model_file, "models/hourglass.keras")
    monkeypatch.setattr(models, "shipped_network", lambda: Path("never.keras"))
    assert hourglass("photo.jpg", model=None)[::2] == (0, [])


def test_a_network_of_drawn_figures_is_warned_of_once(hourglass, network):
    for name in ("a.jpg", "b.jpg"):
        save_picture(Path(name))
    save_network(network, "drawn.keras", ["synthetic"])
    code, out, err = hourglass("a.jpg", "b.jpg", model="drawn.keras")
    assert (code, len(out)) == (0, 2)
    assert err == [
        "warning: drawn.keras was trained on drawn figures alone: on photographs neither its "
        "joints nor its scores mean anything"
    ]


@pytest.mark.parametrize("dataset", ["mpii", "lspet", "folder"])
def test_a_network_of_photographs_is_not(hourglass, network, dataset):
    save_picture(Path("a.jpg"))
    save_network(network, "net.keras", [dataset])
    assert hourglass("a.jpg", model="net.keras")[::2] == (0, [])


@pytest.mark.parametrize("about", ["", "{}", "[]", "{"])
def test_a_network_whose_note_is_damaged_is_one_line(hourglass, model_file, about):
    save_picture(Path("a.jpg"))
    with zipfile.ZipFile(model_file) as old, zipfile.ZipFile("net.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, about if name == NAME else old.read(name))
    code, out, (line,) = hourglass("a.jpg", model="net.keras")
    assert (code, out) == (1, []) and line.startswith("error: net.keras: ")
    assert not Path("poses").exists()


def test_a_file_that_is_no_model_is_named(hourglass):
    photo = save_picture(Path("photo.jpg"))
    code, _, err = hourglass("photo.jpg", model=photo)
    assert code == 1 and len(err) == 1
    assert err[0].startswith("error: photo.jpg: not a whole .keras archive; ")


def test_an_output_folder_that_is_a_file_is_named(hourglass):
    save_picture(Path("photo.jpg"))
    Path("taken").write_text("")
    code, _, err = hourglass("photo.jpg", "--out", "taken")
    assert (code, err) == (1, ["error: taken: File exists; fix it, or choose another --out"])


def test_photographs_are_never_overwritten(hourglass):
    for name in ("a.jpg", "a.png", "b.png"):
        save_picture(Path(name))
    before = {name: Path(name).read_bytes() for name in ("a.jpg", "a.png", "b.png")}
    code, _, err = hourglass("b.png", "--out", ".")
    assert code == 1
    assert err == ["error: b.png: is a photograph; choose another --out"]
    assert hourglass("a.jpg", "a.png", "--out", ".")[0] == 1
    assert {name: Path(name).read_bytes() for name in before} == before


@pytest.mark.parametrize("name", ["a.png", "a.json"])
def test_what_lies_in_the_output_folder_is_never_overwritten(hourglass, name):
    # Neither of them is named: the photograph as another program has drawn or labelled it.
    save_picture(Path("a.jpg"))
    save_picture(Path("a.png"))
    Path("a.png").rename(name)
    before = Path(name).read_bytes()
    code, _, err = hourglass("a.jpg", "--out", ".")
    assert (code, err) == (
        1,
        [f"error: {name}: was not written by hourglass; choose another --out"],
    )
    assert Path(name).read_bytes() == before and outputs(".") == ["a.jpg", name]


def test_the_json_of_another_program_is_never_overwritten(hourglass):
    save_picture(Path("a.jpg"))
    Path("a.json").write_text('{"shapes": [], "imagePath": "a.jpg"}')
    code, _, err = hourglass("a.jpg", "--out", ".")
    assert (code, err) == (1, ["error: a.json: was not written by hourglass; choose another --out"])
    assert "shapes" in Path("a.json").read_text() and not Path("a.png").exists()
    Path("a.json").unlink()
    for _ in range(2):  # its own it may replace
        assert hourglass("a.jpg", "--out", ".")[0] == 0


def test_the_same_photograph_gives_the_same_bytes(hourglass):
    photo = save_picture(Path("photo.jpg"))
    hourglass(photo, "--out", "one")
    hourglass(photo, "--out", "two")
    for name in outputs("one"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()

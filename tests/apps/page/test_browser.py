"""The page in Chromium without a window: what somebody does with it, held against Python."""

import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

import hourglass
from helpers.paths import ROOT
from helpers.pictures import STORED_AS, file_of
from hourglass.apps.page.building import MAX_PIXELS
from hourglass.inference.outputs import COORDINATES
from hourglass.keypoints import MPII
from hourglass.shipped import shipped_network

pytestmark = pytest.mark.browser

PHOTO = ROOT / "docs/walking.jpg"
BOX = (110, 40, 245, 440)  # around the woman
MOST = 0.05  # px that joints may lie from Python's
# How many pixels of the overlay are not transparent.
DRAWN = """(() => {
  const canvas = document.querySelector("#overlay");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((_, k) => k % 4 === 3).reduce((sum, alpha) => sum + (alpha > 0), 0);
})()"""


@pytest.fixture(scope="module")
def python():
    """The shipped network's exported file, in Python."""
    return hourglass.load(shipped_network().with_suffix(".onnx"))


@pytest.fixture(scope="module")
def picture():
    return np.array(ImageOps.exif_transpose(Image.open(PHOTO)).convert("RGB"))


def joints_of(record):
    (person,) = record["people"]
    assert tuple(person["joints"]) == MPII.keypoints
    joints = person["joints"].values()
    return np.array([(joint["x"], joint["y"]) for joint in joints]), [j["score"] for j in joints]


def assert_pose_is_pythons(record, pose):
    keypoints, scores = joints_of(record)
    assert np.linalg.norm(keypoints - pose.keypoints, axis=1).max() < MOST
    np.testing.assert_allclose(scores, pose.scores, atol=2e-3)
    assert record["people"][0]["score"] == pytest.approx(pose.score, abs=2e-3)


# A box dragged by the mouse


@pytest.fixture(scope="module")
def dragged(browser):
    """What the page says, shows and saves of a photograph and a box dragged over it."""
    browser.open_page()
    browser.resize(1200, 900)
    browser.choose_files("#file", PHOTO)
    browser.wait_for("#message", "around the person")
    browser.drag_box(BOX)
    message = browser.wait_for("#message", "The person in the box")
    for kind in ("png", "webp", "json"):
        browser.click(f"#{kind}")
    return SimpleNamespace(
        message=message,
        box=browser.run("document.querySelector('#box').value"),
        rows=browser.run("[...document.querySelectorAll('#joints tr')].map((row) => "
                         "[...row.cells].map((cell) => cell.textContent))"),
        drawn=browser.run(DRAWN),
        record=json.loads(browser.wait_for_download("walking.json").read_text()),
        png=browser.wait_for_download("walking.sticker.png"),
        webp=browser.wait_for_download("walking.sticker.webp"),
    )  # fmt: skip


def test_the_joints_of_a_dragged_box_are_pythons(dragged, python, picture):
    box = tuple(int(number) for number in dragged.box.split(","))
    assert np.abs(np.subtract(box, BOX)).max() <= 1  # a px of the screen is less than one
    (pose,) = python.predict(picture, bboxes=[box])
    assert_pose_is_pythons(dragged.record, pose)
    assert f"{pose.score:.2f}" in dragged.message


def test_the_record_is_that_of_hourglass_predict(dragged):
    record = dragged.record
    box = [int(number) for number in dragged.box.split(",")]
    with Image.open(PHOTO) as photo:
        size = {"width": photo.width, "height": photo.height}
    head = {"image": "walking.jpg", "coordinates": COORDINATES, **size, "mode": "bbox"}
    assert {key: record[key] for key in record if key != "people"} == head
    assert [person["bbox"] for person in record["people"]] == [box]


def test_the_table_has_names_places_and_scores(dragged):
    keypoints, scores = joints_of(dragged.record)
    assert [row[0] for row in dragged.rows] == list(MPII.keypoints)
    shown = np.array([row[1:] for row in dragged.rows], float)
    np.testing.assert_allclose(shown[:, :2], keypoints, atol=0.051)
    np.testing.assert_allclose(shown[:, 2], scores, atol=0.0051)
    assert dragged.drawn > 10_000


def test_the_stickers_are_transparent_around_the_figure(dragged):
    png, webp = (Image.open(path) for path in (dragged.png, dragged.webp))
    assert (png.format, webp.format) == ("PNG", "WEBP")
    for sticker, path in ((png, dragged.png), (webp, dragged.webp)):
        assert (sticker.mode, sticker.size) == ("RGBA", (512, 512))
        assert path.stat().st_size < 100_000
    pixels = np.array(png)
    alpha = pixels[..., 3]
    assert not alpha[[0, -1]].any() and not alpha[:, [0, -1]].any()
    assert 0.05 < (alpha == 255).mean() < 0.6
    for colour in ((255, 149, 0), (64, 180, 255), (255, 255, 255)):  # right, left, outline
        assert (pixels == (*colour, 255)).all(axis=-1).sum() > 2000, colour
    np.testing.assert_array_equal(np.array(webp)[alpha == 255], pixels[alpha == 255])


# Other ways


def test_a_search_finds_what_pythons_finds(page, python, picture):
    page.choose_files("#file", PHOTO)
    message = page.wait_for("#message", "Found ")
    page.click("#json")
    record = json.loads(page.wait_for_download("walking.json").read_text())
    poses = python.predict(picture)
    assert record["mode"] == "search" and len(record["people"]) == len(poses) > 0
    for person, pose in zip(record["people"], poses, strict=True):
        assert "bbox" not in person
        assert_pose_is_pythons({"people": [person]}, pose)
    assert ", ".join(f"{pose.score:.2f}" for pose in poses) in message


def test_the_keyboard_is_enough(page):
    page.run("document.body.focus()")
    page.press("Tab")
    assert page.run("document.activeElement.id") == "file"
    page.choose_files("#file", PHOTO)  # the system's window has no keys here
    page.wait_for("#message", "around the person")
    tab_to(page, "overlay")
    page.press("ArrowRight")
    first = page.run("document.querySelector('#box').value")
    assert first == "120,130,240,260"  # the middle half of 480 x 520
    for key, shift in (("ArrowUp", False), ("ArrowLeft", False), ("ArrowDown", True)):
        page.press(key, shift)
    assert page.run("document.querySelector('#box').value") == "110,120,240,270"
    page.press("Enter")
    page.wait_for("#message", "The person in the box")
    tab_to(page, "box")
    page.run("document.activeElement.select()")
    page.type("110,40,245,440")
    page.press("Enter")
    page.wait_for("#message", "Searching")
    page.wait_for("#message", "The person in the box")
    tab_to(page, "names")
    before = page.run(DRAWN)
    page.press(" ")
    assert page.run(DRAWN) > before
    tab_to(page, "png")
    page.press("Enter")
    assert page.wait_for_download("walking.sticker.png").stat().st_size > 1000


def tab_to(page, name):
    for _ in range(12):
        if page.run("document.activeElement.id") == name:
            return
        page.press("Tab")
    raise AssertionError(f"no way to {name} by the keyboard")


def test_a_phone_shows_all_of_it_and_a_finger_draws_the_box(page):
    page.resize(390, 844, mobile=True, scheme="dark")
    page.choose_files("#file", PHOTO)
    page.wait_for("#message", "around the person")
    left, top, width, height = page.rectangle("#overlay")
    start, end = (0.22, 0.08), (0.75, 0.92)
    page.swipe(*[(left + x * width, top + y * height) for x, y in (start, end)])
    page.wait_for("#message", "The person in the box")
    wide = "[document.documentElement.scrollWidth, innerWidth]"
    assert page.run(wide) == [390, 390]
    sides = page.run("[...document.querySelectorAll('button, .button, canvas, table, p')]"
                     ".filter((element) => element.checkVisibility())"
                     ".map((element) => element.getBoundingClientRect().right)")  # fmt: skip
    assert len(sides) > 10 and max(sides) <= 390
    dark, light = "rgb(22, 24, 27)", "rgb(250, 250, 250)"
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.run(ground) == dark
    page.resize(390, 844, mobile=True)
    assert page.run(ground) == light


def test_the_camera_is_followed_and_its_picture_taken(page):
    page.click("#camera")
    page.wait_for("#message", "Take the picture")
    page.wait(f"({DRAWN}) > 5000")  # it has found somebody
    page.click("#shutter")
    page.wait_for("#message", "Found ")
    assert page.run("document.querySelector('#video').srcObject") is None
    assert page.run("document.querySelector('#stage').dataset.shows") == "picture"
    assert len(page.run("[...document.querySelectorAll('#joints tr')].map(() => 1)")) == 16


def test_a_photograph_may_be_dropped(page):
    page.drop("#stage", PHOTO)
    page.wait_for("#message", "around the person")
    assert page.run("document.querySelector('#stage').dataset.shows") == "picture"


# Pictures


def test_pictures_come_out_upright_and_as_pythons(page, picture):
    upright = picture[40:400, 90:330]
    files = []
    for orientation, store in STORED_AS.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        files.append(file_of(store(upright), "JPEG", exif=exif, quality=90))
    clear = np.dstack([upright, np.tile(np.linspace(0, 255, 240).astype(np.uint8), (360, 1))])
    files.append(file_of(clear, "PNG"))
    script = """(async (files) => {
      const { openFile } = await import("/images.js");
      const found = [];
      for (const text of files) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        const { picture } = await openFile(new File([bytes], "picture"));
        let all = "";
        for (const value of picture.pixels) all += String.fromCharCode(value);
        found.push([picture.width, picture.height, btoa(all)]);
      }
      return found;
    })"""
    texts = [base64.b64encode(data).decode() for data in files]
    found = page.run(f"{script}({json.dumps(texts)})")
    for data, (width, height, text) in zip(files, found, strict=True):
        shown = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 3)
        assert shown.shape == upright.shape
        expected = python_pixels(data)
        assert np.abs(shown.astype(int) - expected).max() <= 2


def python_pixels(data):
    from hourglass.utils.images import decode_image

    return np.array(decode_image(data)[0]).astype(int)


# What leaves the browser


def test_the_policy_stops_whatever_would_leave(page, site):
    script = """(async (url) => {
      const image = new Image();
      const lost = new Promise((resolve) => { image.onerror = () => resolve("blocked"); });
      image.src = url + "/a.png";
      const tries = [
        fetch(url, { method: "POST", body: "picture", mode: "no-cors" }).then(() => "sent"),
        lost,
        import(url + "/a.js").then(() => "loaded"),
        new Promise((resolve) => {
          try {
            new WebSocket(url.replace("http", "ws")).onerror = () => resolve("blocked");
          } catch { resolve("blocked"); }
        }),
      ];
      navigator.sendBeacon(url, "picture");
      const ended = await Promise.allSettled(tries);
      return ended.map(({ value, reason }) => (reason ? "blocked" : value));
    })"""
    ended = page.run(f"{script}({json.dumps(site.url.rstrip('/'))})")
    assert ended == ["blocked"] * 4
    assert site.requests == []
    page.events.clear()  # it complains of each, as it should


def test_a_picture_of_many_pixels_is_one_that_the_page_takes(page):
    # The largest that fits; only measured here, as an <img> does it.
    width = MAX_PIXELS // 5000
    data = base64.b64encode(file_of(Image.new("1", (width, 5000)), "PNG")).decode()
    script = f"""(async () => {{
      const {{ openFile }} = await import("/images.js");
      const bytes = Uint8Array.from(atob("{data}"), (letter) => letter.charCodeAt(0));
      const {{ picture }} = await openFile(new File([bytes], "large.png"));
      return [picture.width, picture.height, picture.pixels.length];
    }})()"""
    assert page.run(script) == [width, 5000, 3 * width * 5000]

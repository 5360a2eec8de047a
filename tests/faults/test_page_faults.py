"""`hourglass page`, and the page itself: no runtime, no network, foreign folders, bad pictures."""

import errno
import shutil
import zlib
from pathlib import Path

import pytest
from PIL import Image

from helpers.archives import write_tar
from helpers.browser import serve_folder
from helpers.paths import ROOT
from helpers.pictures import file_of
from hourglass.apps.page import building
from hourglass.apps.page.runtime import FILES, PACKAGE
from hourglass.shipped import shipped_network

WASM = "ort-wasm-simd-threaded.wasm"


@pytest.fixture
def exported():
    """The shipped network's exported file."""
    return shipped_network().with_suffix(".onnx")


def assert_one_line(result, *parts):
    code, out, err = result
    assert (code, out, len(err)) == (1, [], 1), result
    assert err[0].startswith("error: ") and all(part in err[0] for part in parts), err


# The runtime

PACK = f"{shutil.which('cp')} {{}} . && echo packed.tgz"  # what an npm does that works


def test_a_file_of_the_runtime_that_is_missing_is_named(run_command, exported, small_runtime):
    (small_runtime / WASM).unlink()
    result = run_command("page", "--model", exported, "--runtime", small_runtime)
    assert_one_line(result, f"{small_runtime / WASM}: missing; it is in npm's package {PACKAGE}")
    assert not Path("page").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_of_the_runtime_is_named(run_command, exported, small_runtime, name):
    with open(small_runtime / name, "a") as file:
        file.write(";")
    result = run_command("page", "--model", exported, "--runtime", small_runtime)
    assert_one_line(
        result, f"{small_runtime / name}: damaged, or of another version than {PACKAGE}"
    )
    assert not Path("page").exists()


NPM = {
    "no npm": (None, "no npm here to fetch onnxruntime-web"),
    "no network": (
        "echo 'no such host\nat all' >&2; exit 1",
        "no such host at all; repeat, or name",
    ),
    "says nothing": ("exit 0", f"npm could not fetch {PACKAGE}"),
    "other files": (PACK, "damaged, or of another version than"),
    "an empty package": (
        PACK,
        "has no dist/ort.wasm.min.mjs; repeat, or name a folder of its files",
    ),
}


@pytest.mark.parametrize("case", NPM)
def test_what_npm_does_wrong_is_one_line(run_command, exported, fake_npm, tmp_path, case):
    script, reason = NPM[case]
    names = FILES if case == "other files" else ()
    write_tar(tmp_path / "packed.tgz", [(f"package/dist/{name}", b"other") for name in names])
    if script is not None:
        fake_npm(script.format(tmp_path / "packed.tgz"))
    assert_one_line(run_command("page", "--model", exported), reason)
    assert not Path("page").exists()


# The network


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


NETWORKS = {
    "absent.onnx": (lambda path: None, "absent.onnx: no such network"),
    "absent.keras": (lambda path: None, "absent.keras: no such network; train it, or name another"),
    "alone.keras": (
        lambda path: path.touch(),
        "alone.onnx: missing; `hourglass export --model alo",
    ),
    "cut.onnx": (cut, "cut.onnx: not a whole network"),
    "text.onnx": (lambda path: path.write_text("network"), "text.onnx: not a whole network"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_that_cannot_be_used_is_one_line(run_command, exported, small_runtime, name):
    make, reason = NETWORKS[name]
    if name == "cut.onnx":
        shutil.copy(exported, name)
    make(Path(name))
    assert_one_line(run_command("page", "--model", name, "--runtime", small_runtime), reason)
    assert not Path("page").exists()


def test_what_was_exported_of_an_earlier_network_is_named(run_command, exported, small_runtime):
    Path("net.keras").write_text("trained anew")
    shutil.copy(exported, "net.onnx")
    result = run_command("page", "--model", "net.keras", "--runtime", small_runtime)
    assert_one_line(result, "net.onnx: was not exported from net.keras; `hourglass export", "again")


# The folder


def foreign_file(folder):
    folder.mkdir()
    (folder / "index.html").write_text("my own page")


def page_with_notes(folder):
    foreign_file(folder)
    (folder / "settings.js").write_text("// Written by `hourglass page`.\n")
    (folder / "notes.txt").write_text("mine")


FOLDERS = {
    "somebody's page": (
        foreign_file,
        "page/index.html: was not written by hourglass; choose another",
    ),
    "a page with a file more": (page_with_notes, "page/notes.txt: was not written by hourglass"),
    "a file": (lambda path: path.write_text("mine"), "page: is there already and no folder"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "page: is there already and no fol"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_what_is_no_page_is_left_alone(run_command, exported, small_runtime, case):
    make, reason = FOLDERS[case]
    folder = Path("page")
    make(folder)
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    result = run_command("page", "--model", exported, "--runtime", small_runtime)
    assert_one_line(result, reason)
    after = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    assert after == before


def test_a_full_disk_leaves_the_page_that_was_there(
    run_command, exported, small_runtime, monkeypatch
):
    arguments = ("page", "--model", exported, "--runtime", small_runtime)
    assert run_command(*arguments)[0] == 0
    before = {path: path.read_bytes() for path in Path("page").iterdir()}
    copy = shutil.copyfile

    def copyfile(source, target):
        if Path(source).name == WASM:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(source, target)

    monkeypatch.setattr(building.shutil, "copyfile", copyfile)
    assert_one_line(run_command(*arguments), "No space left on device", "choose another --out")
    assert {path: path.read_bytes() for path in Path("page").iterdir()} == before
    assert not list(Path().glob(".page.*"))


# The page in a browser


def empty_pixels(width, height):
    """A PNG of white pixels, small however large the picture is."""
    data = file_of(Image.new("1", (8, 1)), "PNG")
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    chunks = [(b"IHDR", size + data[24:29]), (b"IDAT", pixels), (b"IEND", b"")]
    return data[:8] + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in chunks
    )


PHOTO = ROOT / "docs/walking.jpg"
NO_PICTURE = "not a picture that this browser can decode; save it as a JPEG of less than 50 mega"
PICTURES = {
    "empty.jpg": (lambda: b"", NO_PICTURE),
    "text.jpg": (lambda: b"not a picture\n" * 100, NO_PICTURE),
    "half.png": (lambda: file_of(Image.open(PHOTO), "PNG")[:200], NO_PICTURE),
    "phone.heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(500), NO_PICTURE),
    "script.svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", NO_PICTURE),
    "many.png": (lambda: empty_pixels(8_000, 7_000), "8000 x 7000 px, more than 50 megapixels"),
    "all_too_many.png": (lambda: empty_pixels(30_000, 30_000), NO_PICTURE),  # Chromium's own limit
    "bytes.jpg": (lambda: bytes(200_000_000), NO_PICTURE),
}


@pytest.mark.browser
def test_bad_pictures_are_one_line_and_the_page_goes_on(page, tmp_path):
    for name, (make, reason) in PICTURES.items():
        path = tmp_path / name
        path.write_bytes(make())
        page.choose_files("#file", path)
        message = page.wait_for("#message", name + ":")
        assert reason in message, message
        assert "error" in page.run("document.querySelector('#message').className")
    page.choose_files("#file", PHOTO)
    page.wait_for("#message", "around the person")
    for text in ("", "1,2,3", "1,2,0,4", "a,b,c,d", "1,2,3,1e9", "1,,3,4"):
        page.run(f"document.querySelector('#box').value = {text!r}")
        page.run("document.querySelector('#box-form').requestSubmit()")
        page.wait_for("#message", f"{text} is no box x,y,width,height")
    page.run("document.querySelector('#box').value = '9000,9000,50,50'")
    page.run("document.querySelector('#box-form').requestSubmit()")
    page.wait_for("#message", "leaves nothing to see of the picture; fix it")
    page.drag_box((110, 40, 245, 440))
    page.wait_for("#message", "The person in the box")


@pytest.mark.browser
def test_a_camera_that_is_not_allowed_is_one_line(page):
    denied = "Promise.reject(new DOMException('Permission denied', 'NotAllowedError'))"
    page.run(f"navigator.mediaDevices.getUserMedia = () => {denied}")
    page.click("#camera")
    message = page.wait_for("#message", "no camera")
    assert message == "no camera: Permission denied; allow it, or choose a photograph"
    page.choose_files("#file", PHOTO)
    page.wait_for("#message", "around the person")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("network.onnx", "network.onnx: 404"),
        ("people.onnx", "people.onnx: 404"),
        (WASM, "fetching of the wasm failed"),  # the runtime's
    ],
)
def test_a_file_that_the_server_lacks_is_one_line(browser, page_folder, tmp_path, name, reason):
    shutil.copytree(page_folder, tmp_path / "page")
    (tmp_path / "page" / name).unlink()
    with serve_folder(tmp_path / "page") as address:
        browser.open(f"{address}/")
        message = browser.wait_for("#message", "the network cannot be loaded: ")
    assert reason in message and "\n" not in message, message
    assert message.endswith("; load the page again") and "\n" not in message

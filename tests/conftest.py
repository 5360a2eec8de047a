"""Small inputs that several test files share; the costly ones are made once a session."""

import os
import sys

import pytest

from helpers.paths import ROOT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# No Ray of a test, and none that joins it, goes by the token of whoever runs the tests.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture(scope="session")
def tiny_params():
    """The demo's Params with the smallest network: 32 px, 8 channels, one stack of one level."""
    from hourglass.config import load_params

    params = load_params(ROOT / "demo" / "params.yaml")
    changes = {
        "shard": {"num_train_shards": 3, "num_val_shards": 2, "crop_size": 64},
        "model": {"num_stacks": 1, "num_channels": 8, "num_levels": 1, "input_size": 32},
        "train": {"epochs": 3, "batch_size": 4, "lr": 5e-3},
        "predict": {"batch_size": 2},
    }
    return params.model_copy(
        update={
            section: getattr(params, section).model_copy(update=values)
            for section, values in changes.items()
        }
    )


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory):
    """images.zip, train.json and validation.json of 14 + 5 drawn figures."""
    from hourglass.config import SyntheticParams
    from hourglass.data.synthetic.pictures import write_dataset

    folder = tmp_path_factory.mktemp("raw")
    write_dataset(folder, SyntheticParams(num_train=14, num_val=5, seed=3))
    return folder


@pytest.fixture(scope="session")
def persons(raw_folder):
    """The checked persons of `raw_folder`, {split: list}."""
    from hourglass.data.parse import parse_dataset
    from hourglass.keypoints import MPII

    return parse_dataset(raw_folder, "synthetic", MPII)[0]


@pytest.fixture(scope="session")
def write_shards(raw_folder, persons):
    """A function (folder, ShardParams) that writes the shards of `raw_folder`, without Ray."""
    from helpers.shards import shard_annotations

    def write(folder, params):
        return shard_annotations(folder, persons, raw_folder / "images.zip", params)

    return write


@pytest.fixture(scope="session")
def shard_folder(tmp_path_factory, write_shards, tiny_params):
    """The shards of `raw_folder` as person crops of 64 px."""
    return write_shards(tmp_path_factory.mktemp("tfrecords"), tiny_params.shard)


@pytest.fixture(scope="session")
def network(tiny_params):
    """A tiny network of fixed random weights; not to be changed."""
    import keras

    from hourglass.keypoints import MPII
    from hourglass.models.registry import build_model

    keras.utils.set_random_seed(1)
    return build_model(tiny_params.model, MPII)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory, network):
    """`network`, saved."""
    from hourglass.models.saving import save_network

    path = tmp_path_factory.mktemp("models") / "hourglass.keras"
    save_network(network, path, ["mpii"])
    return path


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory, model_file):
    """What `hourglass export` makes of `model_file`."""
    from hourglass.export.exporter import export_network

    path = tmp_path_factory.mktemp("exported") / "hourglass.onnx"
    export_network(model_file, path)
    return path


@pytest.fixture(scope="session")
def half_file(tmp_path_factory, model_file):
    """The same with weights of float16."""
    from hourglass.export.exporter import export_network

    path = tmp_path_factory.mktemp("halved") / "half.onnx"
    export_network(model_file, path, half=True)
    return path


@pytest.fixture
def site():
    """A `server.Site` at work."""
    import threading

    from helpers.server import Site

    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def quick_retries(monkeypatch):
    """Downloads that wait for nothing long."""
    from hourglass.data import http

    monkeypatch.setattr(http, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(http, "MAX_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", (2, 2))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def small_mpii(site, tmp_path, monkeypatch):
    """The DataParams of an MPII of two pictures on `site`, whose archive has an md5 of its own."""
    import dataclasses

    from helpers.archives import write_tar, zip_bytes
    from helpers.server import RECORDS, data_params
    from hourglass.data.datasets.base import find_dataset

    pictures = [("./images/a.jpg", b"aaa"), ("./images/b.jpg", b"bb")]
    archive = tmp_path / "made.tar.gz"
    digest = write_tar(archive, pictures)
    mpii = find_dataset("mpii")
    annotations, images = mpii.files
    monkeypatch.setattr(mpii, "files", (annotations, dataclasses.replace(images, md5=digest)))
    site.files |= {
        images.name: archive.read_bytes(),
        annotations.name: zip_bytes([("mpii/annotations.mat", b"mat")]),
        "train.json": RECORDS,
        "validation.json": RECORDS,
        "valid_images.txt": b"a.jpg\nb.jpg\n",
    }
    return data_params("mpii", mirror=site.url)


@pytest.fixture(scope="session")
def make_estimator():
    """What stands for PoseEstimator in tests of one network: compiled once for all of them."""
    from hourglass.models.pose_estimator import PoseEstimator

    made = {}

    def make(network, flip_test, decoder):
        estimator = made.setdefault(flip_test, PoseEstimator(network, flip_test, decoder))
        estimator.network.metadata = network.metadata  # of the file that was loaded now
        return estimator

    return make


@pytest.fixture(scope="session")
def bucket():
    """An empty bucket of an S3-like server on this machine, a `storage.Bucket`."""
    from helpers.storage import Bucket

    with Bucket() as bucket:
        yield bucket


@pytest.fixture(scope="session")
def pushed_project(tmp_path_factory, bucket):
    """A project in which all stages have run, with all that DVC keeps of it in `bucket`."""
    from helpers import storage

    project = storage.make_finished_project(tmp_path_factory.mktemp("first") / "project")
    storage.add_remote(project, bucket.url)
    storage.ask_dvc(project, "push")
    return project


@pytest.fixture
def run_command(monkeypatch, capsys, tmp_path):
    """Run `hourglass` in an empty folder: exit code, lines of stdout, lines of stderr."""
    from hourglass.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hourglass", *map(str, arguments)])
        code = 0
        try:
            main.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out.splitlines(), err.splitlines()

    return run


@pytest.fixture
def whole_finder(monkeypatch):
    """A people finder in the place of the shipped one: it sees one person all over a picture."""
    from helpers.fake_backends import WholeFinder

    finder = WholeFinder()
    monkeypatch.setattr("hourglass.inference.backends.PeopleFinder", lambda path: finder)
    monkeypatch.setattr("hourglass.inference.backends.shipped_people_detector", lambda: None)
    return finder


@pytest.fixture
def hourglass(run_command, monkeypatch, model_file, make_estimator, whole_finder):
    """Run `hourglass predict` with a small network, or with `model`; None names none."""
    monkeypatch.setattr("hourglass.models.pose_estimator.PoseEstimator", make_estimator)

    def run(*arguments, model=model_file):
        return run_command("predict", *arguments, *(["--model", model] if model else []))

    return run


@pytest.fixture
def fake_npm(tmp_path, monkeypatch):
    """Make an `npm` of a shell script; the only program there is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()

    def make(script):
        npm = tmp_path / "bin" / "npm"
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(0o755)

    return make


@pytest.fixture
def small_runtime(tmp_path, monkeypatch):
    """A folder of files that stand for onnxruntime-web's, with checksums of their own."""
    from hourglass.apps.page import runtime
    from hourglass.utils.files import file_digest

    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in runtime.FILES:
        (folder / name).write_text(f"// {name}")
        monkeypatch.setitem(runtime.FILES, name, file_digest(folder / name))
    return folder


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory):
    """What `hourglass page` makes of the shipped network; npm fetches what it runs on, once."""
    from hourglass.apps.page.building import build_page
    from hourglass.shipped import shipped_network
    from hourglass.utils.errors import UserError

    folder = tmp_path_factory.mktemp("page") / "page"
    try:
        build_page(shipped_network(), folder)
    except UserError as error:
        pytest.skip(f"no runtime of the page: {error}")
    return folder


@pytest.fixture(scope="session")
def browser(page_folder, tmp_path_factory):
    """A `browser.Browser` beside a server of the page, `address`; the camera shows a photograph."""
    from helpers.browser import CHROMIUM, Browser, serve_folder

    if CHROMIUM is None:
        pytest.skip("no Chromium here: `apt install chromium`")
    folder = tmp_path_factory.mktemp("browser")
    camera = folder / "camera.mjpeg"  # JPEG files one after the other
    camera.write_bytes(4 * (ROOT / "docs/walking.jpg").read_bytes())
    with serve_folder(page_folder) as address:
        started = Browser(folder, camera)
        started.address = address
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """The browser with the page newly open; no script may fail, nothing leave this machine."""
    browser.events.clear()
    browser.resize(1200, 900)
    browser.open_page()
    yield browser
    assert browser.errors() == []
    assert all(url.startswith(("blob:", browser.address)) for url in browser.requests())

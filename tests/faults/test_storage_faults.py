"""Object storage: not there, not let in, objects lost or damaged, cut connections, `kill -9`."""

import shutil
import subprocess

import pytest

from helpers.archives import random_bytes
from helpers.projects import project_environment, run
from helpers.relay import Relay
from helpers.storage import (
    ACCOUNT,
    MODEL,
    ask_dvc,
    clone,
    damaged_objects,
    files_of_outs,
    key_of,
    pulled_files,
    run_dvc,
)

pytestmark = pytest.mark.slow  # each of them starts DVC five times or more
LIMIT = 100_000  # bytes; a network is larger
ONE_TRY = {"AWS_MAX_ATTEMPTS": "1"}  # of five: those take 100 s
NO_ACCOUNT = {name: "" for name in ACCOUNT if name.startswith("AWS_") and "KEY" in name}
# Each a setting that is wrong, or the environment, and what DVC says of it.
REFUSALS = {
    "unreachable": (
        "endpointurl",
        "http://127.0.0.1:9",
        ONE_TRY,
        "Could not connect to the endpoint",
    ),
    "no such bucket": ("url", "s3://other/hourglass", {}, "The specified bucket does not exist"),
    "no account": ("verify", "true", NO_ACCOUNT, "Unable to locate credentials"),
}


@pytest.fixture(autouse=True)
def whole_bucket(bucket, pushed_project):
    """What a test has done to the bucket is undone."""
    before = bucket.read()
    yield
    for key in bucket.read().keys() - before.keys():
        bucket.delete(key)
    for key, content in before.items():
        bucket.put(key, content)


@pytest.fixture
def machine(pushed_project, tmp_path):
    """A clone of the project, with nothing pulled yet."""
    return clone(pushed_project, tmp_path / "other" / "project")


@pytest.fixture
def trained(pushed_project, tmp_path):
    """A copy of the project with another network, of 300,000 bytes, not pushed yet."""
    root = tmp_path / "trained" / "project"
    shutil.copytree(pushed_project.parent, root, symlinks=True)
    project = root / pushed_project.name
    (project / MODEL).unlink()
    (project / MODEL).write_bytes(random_bytes(300_000))
    ask_dvc(project, "commit", "--force", "train")
    return project


def set_here(project, key, value):
    ask_dvc(project, "remote", "modify", "--local", "storage", key, value)


def set_back(project):
    (project / ".dvc/config.local").unlink()


def assert_fails(done, text=""):
    assert done.returncode and text in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def assert_nothing_is_damaged(machine, pushed_project):
    assert damaged_objects(machine) == []
    assert files_of_outs(machine).items() <= pulled_files(pushed_project).items()


def assert_pulls_all(machine, pushed_project):
    ask_dvc(machine, "pull")
    assert damaged_objects(machine) == []
    assert files_of_outs(machine) == pulled_files(pushed_project)


# The storage refuses


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_pull_changes_nothing_and_the_next_works(machine, pushed_project, refusal):
    key, value, environment, text = REFUSALS[refusal]
    before = files_of_outs(machine)
    set_here(machine, key, value)
    assert_fails(run_dvc(machine, "pull", **environment), text)
    assert files_of_outs(machine) == before
    assert run(machine, "git", "status", "--porcelain") == ""
    set_back(machine)
    assert_pulls_all(machine, pushed_project)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_push_loses_nothing_and_the_next_works(trained, bucket, refusal):
    key, value, environment, text = REFUSALS[refusal]
    files, objects = files_of_outs(trained), bucket.read()
    set_here(trained, key, value)
    assert_fails(run_dvc(trained, "push", "train", **environment), text)
    assert (files_of_outs(trained), bucket.read()) == (files, objects)
    set_back(trained)
    ask_dvc(trained, "push", "train")
    assert bucket.get(key_of(files[MODEL])) == files[MODEL]


# Objects lost or damaged


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE = {
    "one bit": flip,
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
}


@pytest.fixture
def network_key(pushed_project):
    return key_of((pushed_project / MODEL).read_bytes())


def assert_pulls_all_but_the_network(machine, pushed_project):
    assert_fails(run_dvc(machine, "pull"), f"Checkout failed for following targets:\n{MODEL}\n")
    assert damaged_objects(machine) == []
    expected = pulled_files(pushed_project)
    expected.pop(MODEL)
    assert files_of_outs(machine) == expected
    assert "not in cache" in ask_dvc(machine, "status", "train")


def test_a_lost_object_is_pushed_again(machine, pushed_project, bucket, network_key):
    bucket.delete(network_key)
    assert_pulls_all_but_the_network(machine, pushed_project)
    ask_dvc(pushed_project, "push")
    assert_pulls_all(machine, pushed_project)


def test_a_lost_list_of_a_folders_files_is_pushed_again(machine, pushed_project, bucket):
    lists = [key for key in bucket.read() if key.endswith(".dir")]
    for key in lists:
        bucket.delete(key)
    assert_fails(run_dvc(machine, "pull"))
    assert_nothing_is_damaged(machine, pushed_project)
    ask_dvc(pushed_project, "push")
    assert_pulls_all(machine, pushed_project)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_object_is_no_file_and_heals(
    machine, pushed_project, bucket, network_key, damage
):
    bucket.put(network_key, DAMAGE[damage](bucket.get(network_key)))
    assert_pulls_all_but_the_network(machine, pushed_project)
    bucket.delete(network_key)  # as docs/sharing.md says: a push looks for names alone
    ask_dvc(pushed_project, "push")
    assert_pulls_all(machine, pushed_project)


def test_a_damaged_list_of_a_folders_files_is_no_folder(machine, pushed_project, bucket):
    lists = [key for key in bucket.read() if key.endswith(".dir")]
    for key in lists:
        bucket.put(key, bucket.get(key)[:-5])
    assert_fails(run_dvc(machine, "pull"))
    assert_nothing_is_damaged(machine, pushed_project)
    for key in lists:
        bucket.delete(key)
    ask_dvc(pushed_project, "push")
    assert_pulls_all(machine, pushed_project)


def test_the_network_that_was_there_comes_back_where_the_new_one_is_damaged(
    machine, pushed_project, trained, bucket
):
    ask_dvc(machine, "pull")
    before = (machine / "dvc.lock").read_bytes()
    ask_dvc(trained, "push", "train")
    new = (trained / MODEL).read_bytes()
    bucket.put(key_of(new), flip(new))
    shutil.copy(trained / "dvc.lock", machine)
    assert_fails(run_dvc(machine, "pull", "train"))
    assert not (machine / MODEL).exists()  # DVC's way: never another file than dvc.lock names
    (machine / "dvc.lock").write_bytes(before)
    ask_dvc(machine, "checkout", "train")
    assert (machine / MODEL).read_bytes() == (pushed_project / MODEL).read_bytes()
    shutil.copy(trained / "dvc.lock", machine)
    bucket.put(key_of(new), new)
    ask_dvc(machine, "pull", "train")
    assert (machine / MODEL).read_bytes() == new


# Connections that break, and kills


def start_dvc(project, *arguments):
    environment = project_environment(project) | ACCOUNT
    return subprocess.Popen(["dvc", *arguments], cwd=project, env=environment,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


def kill_when_broken(relay, process):
    try:
        assert relay.broken.wait(120)
    finally:
        process.kill()
        process.wait()


def test_a_pull_whose_connections_are_cut_goes_on_the_next_time(machine, pushed_project, bucket):
    with Relay(bucket.address, LIMIT).at_work() as relay:
        set_here(machine, "endpointurl", relay.url)
        assert_fails(run_dvc(machine, "pull"))
    assert relay.broken.is_set()
    assert_nothing_is_damaged(machine, pushed_project)
    set_back(machine)
    assert_pulls_all(machine, pushed_project)


def test_a_pull_that_is_killed_goes_on_the_next_time(machine, pushed_project, bucket):
    with Relay(bucket.address, LIMIT, stalls=True).at_work() as relay:
        set_here(machine, "endpointurl", relay.url)
        kill_when_broken(relay, start_dvc(machine, "pull"))
    assert_nothing_is_damaged(machine, pushed_project)
    set_back(machine)
    assert_pulls_all(machine, pushed_project)


def test_a_push_that_is_killed_goes_on_the_next_time(trained, bucket):
    files, new = files_of_outs(trained), (trained / MODEL).read_bytes()
    with Relay(bucket.address, LIMIT, stalls=True).at_work() as relay:
        set_here(trained, "endpointurl", relay.url)
        kill_when_broken(relay, start_dvc(trained, "push", "train"))
    assert files_of_outs(trained) == files
    assert bucket.read().get(key_of(new), new) == new
    set_back(trained)
    ask_dvc(trained, "push", "train")
    assert bucket.get(key_of(new)) == new

"""Which Ray the shard stage works with; none is started here."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from helpers.paths import ROOT
from hourglass.utils.errors import UserError

ray = pytest.importorskip("ray", reason="the shard stage runs on Ray")
from hourglass.distributed import ray_session  # noqa: E402

SOURCE = ROOT / "src"


@pytest.fixture
def port():
    """A port of this machine; nothing answers on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def server():
    """A server that answers nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def inits(monkeypatch):
    """The arguments of all calls of `ray.init`, which does nothing."""
    calls = []
    monkeypatch.setattr(ray, "init", lambda **settings: calls.append(settings))
    # A Ray that another test has started here leaves a mode behind.
    kept = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    monkeypatch.setattr(os, "environ", {**kept, "PYTHONPATH": ""})
    return calls


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "localhost:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_nothing_answers_is_one_line_at_once(monkeypatch, inits, port, form):
    monkeypatch.setenv("RAY_ADDRESS", form.format(port))
    start = time.monotonic()
    with pytest.raises(UserError, match=r"^RAY_ADDRESS \S+: no answer \(.+\); .*unset RAY_ADDRESS"):
        ray_session.start_ray(None)
    assert time.monotonic() - start < 5 and not inits


@pytest.mark.parametrize("silence", [TimeoutError("timed out"), socket.gaierror(-2, "unknown")])
def test_a_host_that_stays_silent_or_is_unknown_is_one_line(monkeypatch, inits, silence):
    def connect(place, timeout):
        assert (place, timeout <= 30) == (("head", 6379), True)
        raise silence

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(UserError, match=r"^RAY_ADDRESS head:6379: no answer \((timed out|unknown)"):
        ray_session.start_ray(None)
    assert not inits


@pytest.mark.parametrize("address", ["head", "head:", "head:port", "1:2:3", "head:70000", "[::1"])
def test_what_is_no_address_is_named(monkeypatch, inits, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match="must be HOST:PORT"):
        ray_session.start_ray(None)
    assert not inits


def test_a_port_that_takes_connections_and_says_nothing_is_one_line(monkeypatch, inits, server):
    monkeypatch.setattr(ray_session, "CONNECT_SECONDS", 0.1)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
    with pytest.raises(UserError, match=r"no answer \(timed out\)"):
        ray_session.start_ray(None)
    assert not inits


def answer_once(server, reply):
    """Have `server` answer its first client so."""

    def answer():
        with server.accept()[0] as connection:
            connection.recv(100)
            connection.sendall(reply)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_a_server_of_another_kind_is_one_line(monkeypatch, inits, server):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
    thread = answer_once(server, b"HTTP/1.0 505 HTTP Version Not Supported\r\n\r\n")
    with pytest.raises(UserError, match=r"no answer \(what answers is not Ray\)"):
        ray_session.start_ray(None)
    thread.join()
    assert not inits


def test_a_cluster_that_answers_is_joined(monkeypatch, inits, server):
    address = f"ray://127.0.0.1:{server.getsockname()[1]}"
    thread = answer_once(server, ray_session.GREETING[-9:])  # settings of its own
    for name in (address, "auto"):
        monkeypatch.setenv("RAY_ADDRESS", name)
        ray_session.start_ray(None)
    thread.join()
    assert [call["address"] for call in inits] == [address, "auto"]


@pytest.mark.parametrize("mode", ["", "disabled", "token"])
def test_a_token_is_for_a_cluster_that_wants_one(monkeypatch, inits, mode):
    worker = SimpleNamespace(remote=lambda: mode)
    monkeypatch.setattr(ray, "remote", lambda **_: lambda function: worker)
    monkeypatch.setattr(ray, "get", lambda answer: answer)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    ray_session.start_ray(None)
    monkeypatch.setenv("RAY_AUTH_MODE", "Token")  # Ray does not look at the case either
    if mode == "token":
        ray_session.start_ray(None)
    else:
        with pytest.raises(UserError, match=r"^RAY_ADDRESS auto: .* set RAY_AUTH_MODE=disabled"):
            ray_session.start_ray(None)


def test_a_package_that_cannot_be_sent_is_one_line(monkeypatch, inits):
    def get(_):
        raise ray.exceptions.RuntimeEnvSetupError("Traceback:\n  a.py\nOSError: no space left\n")

    monkeypatch.setattr(ray, "remote", lambda **_: lambda function: SimpleNamespace(remote=list))
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    line = r"^RAY_ADDRESS auto: the package cannot be sent .* \(OSError: no space left\); fix .*$"
    with pytest.raises(UserError, match=line):
        ray_session.start_ray(None)


@pytest.mark.parametrize("address", [None, ""])
def test_without_an_address_ray_is_started_here(monkeypatch, inits, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("RAY_ADDRESS", address)
    ray_session.start_ray(3)
    assert (inits[0]["address"], inits[0]["num_cpus"]) == ("local", 3)


def test_sigterm_is_ours_once_ray_has_started(monkeypatch, inits):
    asked = []
    monkeypatch.setattr(ray_session, "raise_at_sigterm", lambda: asked.append(len(inits)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray_session.start_ray(1)
    assert asked == [1]  # after `ray.init`, which sets a handler too


@pytest.mark.parametrize(
    ("limit", "advice"),
    [
        ("RLIMIT_NOFILE", r"raise the limit of open files \(ulimit -n\), 40, then repeat"),
        ("RLIMIT_FSIZE", r"raise the limit of a file's size \(ulimit -f\), 40 bytes, then repeat"),
    ],
)
def test_a_limit_that_may_be_why_ray_does_not_start_is_named(monkeypatch, limit, advice):
    def init(**_):
        raise RuntimeError("Timed out waiting for file /tmp/ray/session/gcs_server_port")

    limits = {resource.RLIMIT_NOFILE: 4096, resource.RLIMIT_FSIZE: resource.RLIM_INFINITY}
    limits[getattr(resource, limit)] = 40
    monkeypatch.setattr(resource, "getrlimit", lambda name: (limits[name],) * 2)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UserError, match=f"; {advice}$"):
        ray_session.start_ray(1)


@pytest.mark.parametrize("fault", [None, ConnectionError("no room")])
def test_the_environment_is_changed_for_rays_processes_alone(monkeypatch, fault):
    seen = []

    def init(**_):
        seen.append({name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "PYTHONPATH")})
        if fault:
            raise fault

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PYTHONPATH", "before")
    with pytest.raises(UserError) if fault else contextlib.nullcontext():
        ray_session.start_ray(1)
    (changed,) = seen
    assert changed == {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": f"{SOURCE}{os.pathsep}before"}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ and os.environ["PYTHONPATH"] == "before"


def test_a_cluster_that_turns_us_away_may_want_a_token(monkeypatch):
    def init(**_):
        print("gcs_client.cc: Unauthenticated", file=sys.stderr)
        raise ConnectionError(
            "Failed to connect to Ray cluster at head:1. More about it.\nAnd more"
        )

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(UserError) as error:
        ray_session.start_ray(None)
    line = str(error.value)
    assert line.startswith("Ray does not start: Failed to connect to Ray cluster at head:1; fix")
    assert "RAY_AUTH_TOKEN" in line and "\n" not in line


@pytest.mark.parametrize(
    ("set_here", "has_file", "mode"),
    [
        ({}, False, None),
        ({"RAY_ADDRESS": ""}, True, None),
        ({}, True, "token"),
        ({"RAY_AUTH_TOKEN": "x"}, False, "token"),
        ({"RAY_AUTH_MODE": "disabled"}, True, "disabled"),
    ],
)
def test_a_token_that_is_there_is_used(tmp_path, set_here, has_file, mode):
    if has_file:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray/auth_token").write_text("x")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(SOURCE)}
    environment |= {"RAY_ADDRESS": "head:6379", **set_here}
    assert mode_after("hourglass.distributed.ray_session", environment) == str(mode)
    if "RAY_AUTH_MODE" not in set_here:  # too late: half of Ray would go by it
        assert mode_after("ray, hourglass.distributed.ray_session", environment) == "None"


def mode_after(modules, environment):
    """RAY_AUTH_MODE in a process that has imported `modules`."""
    code = f"import os, {modules}; print(os.environ.get('RAY_AUTH_MODE'))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.strip()

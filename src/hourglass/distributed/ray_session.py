"""Ray: started for one stage, or joined if RAY_ADDRESS names a cluster."""

import contextlib
import os
import re
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

# `ray start --head` wants a token of everybody where its user has one; Ray sends ours only if told
# to before its import (a Ray already imported would not do so, but its processes would want one).
# A head that wants none takes us all the same, and fails later (`_check_token_mode`).
if ("ray" not in sys.modules and os.environ.get("RAY_ADDRESS")) and (
    {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    or os.path.exists(os.path.expanduser("~/.ray/auth_token"))
):
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray

import hourglass
from hourglass.utils.errors import UserError, raise_at_sigterm, raise_terminated, silent_stderr

CONNECT_SECONDS = 10
# How a client of HTTP/2, which Ray speaks, begins: its greeting and empty settings.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
ALONE = "or unset RAY_ADDRESS to use this machine alone"
FEW_FILES = 1024  # that a process may open: of fewer, Ray's servers may not start
ELSEWHERE = "or set RAY_TMPDIR to another folder"
# What to do about an error of Ray's start, by its text; Ray has hardly any classes for these.
ADVICE = {
    "AF_UNIX path length|codec can't encode": (
        "set RAY_TMPDIR to a folder with a short path of plain letters, such as /tmp"
    ),
    "No space left|quota exceeded": f"make room there, {ELSEWHERE}",
    "Permission denied|Read-only|Not a directory|No such file|not permitted": (
        f"fix that folder, {ELSEWHERE}"
    ),
    "object store|shared memory|/dev/shm": "give the machine or container more of /dev/shm",
    "allocate memory|new thread|temporarily unavailable": (
        "end other programs, or raise the limit of processes (ulimit -u)"
    ),
    "open files": "raise the limit of open files (ulimit -n)",
    "version|Version": "use one version of Ray and of Python on all machines",
}


def start_ray(num_workers: int | None) -> None:
    """Join the cluster of RAY_ADDRESS, or start Ray on this machine until this process ends.

    Args:
        num_workers: on this machine; None: one a core.

    Raises:
        UserError: it does not start, or the cluster of RAY_ADDRESS cannot be used.
    """
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "auto":
        _check_answers(address)
    try:
        with silent_stderr():  # Ray's attempts, one line each: the last one's error says it all
            _init_ray(address, num_workers)
    except SystemExit:  # of the handler of SIGTERM that Ray has while it starts
        raise_terminated()
    except Exception as error:  # Ray has no class of its own for this
        reason = re.split(r"\.?\n|\. ", str(error))[0].rstrip(".")
        raise UserError(f"Ray does not start: {reason}; {_advise(reason, address)}") from None
    raise_at_sigterm()
    if address and os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        _check_token_mode(address)


def _advise(reason: str, address: str | None) -> str:
    """What to do about an error of Ray's start."""
    found = next((text for cause, text in ADVICE.items() if re.search(cause, reason)), None)
    if found:
        return f"{found}, then repeat"
    if address:
        return (
            f"fix RAY_ADDRESS {address}, give us the cluster's token (RAY_AUTH_TOKEN=..., or its "
            f"~/.ray/auth_token), {ALONE}"
        )
    _, num_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, size = resource.getrlimit(resource.RLIMIT_FSIZE)
    if 0 <= num_files < FEW_FILES:  # unlimited is negative
        return f"raise the limit of open files (ulimit -n), {num_files}, then repeat"
    if size >= 0:
        return f"raise the limit of a file's size (ulimit -f), {size:,} bytes, then repeat"
    return "wait until the machine is less busy, then repeat"


def _check_token_mode(address: str) -> None:
    """Refuse a cluster without tokens while we go by one: its machines could not ask us for data.

    Small arguments of tasks are sent along, larger ones than 100 kB are asked for.
    """
    read_mode = ray.remote(num_cpus=0)(lambda: os.environ.get("RAY_AUTH_MODE", "").lower())
    try:
        mode = ray.get(read_mode.remote())
    except ray.exceptions.RuntimeEnvSetupError as error:
        raise UserError(f"RAY_ADDRESS {address}: {describe_setup_error(error)}") from None
    if mode != "token":
        raise UserError(
            f"RAY_ADDRESS {address}: that cluster wants no token, and there is one here"
            " (RAY_AUTH_TOKEN or ~/.ray/auth_token); set RAY_AUTH_MODE=disabled"
        )


def describe_setup_error(error: Exception) -> str:
    """The cause of a `ray.exceptions.RuntimeEnvSetupError` and the remedy, as a part of a line."""
    reason = str(error).strip().splitlines()[-1]  # before it, a traceback
    return (
        f"the package cannot be sent to a machine of the cluster ({reason.strip()});"
        " fix that machine, then repeat"
    )


def _check_answers(address: str) -> None:
    """Refuse an address where nothing answers: Ray itself would try for minutes."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        place = parts.hostname, int(parts.port or "")
    except ValueError:
        raise UserError(
            f"RAY_ADDRESS {address!r}: must be HOST:PORT, ray://HOST:PORT or auto; fix it, {ALONE}"
        ) from None
    try:
        with socket.create_connection(place, CONNECT_SECONDS) as connection:
            connection.sendall(GREETING)
            # Some firewalls take connections and say nothing, and other servers speak HTTP/1.
            if connection.recv(9)[3:4] != b"\x04":  # HTTP/2 begins with its settings
                raise ConnectionError("what answers is not Ray")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"RAY_ADDRESS {address}: no answer ({reason}); start that cluster, fix it, {ALONE}"
        ) from None


def _init_ray(address: str | None, num_workers: int | None) -> None:
    # Nothing is sent to Ray's makers, unless the user asks for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Where one task's error ends the stage, Ray would print those of the others, in full.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    source = str(Path(hourglass.__file__).parents[1])
    settings = {"logging_level": "error", "log_to_driver": False}
    if address:
        # The cluster's machines need not have this package: it is sent along.
        runtime_env = {"py_modules": [f"{source}/hourglass"]}
        ray.init(address=address, runtime_env=runtime_env, **settings)
    else:
        # The workers inherit it; Ray's own way to hand it over takes a second more.
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        # No GPU for the workers: a TensorFlow in each would share its memory out among them.
        with _environment(PYTHONPATH=paths, CUDA_VISIBLE_DEVICES=""):
            ray.init(
                address="local",  # not whatever else runs on this machine
                num_cpus=num_workers,  # None: all cores
                include_dashboard=False,
                # Enough: annotations and invalid records pass through it, pictures never do.
                object_store_memory=200 * 2**20,
                **settings,
            )


@contextlib.contextmanager
def _environment(**changes: str) -> Iterator[None]:
    """Change environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

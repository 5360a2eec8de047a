"""Packages of npm: fetched by npm itself, which holds them against the registry's sums.

onnxruntime-web, which runs exported networks in browsers: three files of Microsoft's, MIT.
"""

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path, file_digest


def npm_cache_folder(name):
    """Where what was fetched is kept, a folder of this name in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "hourglass", name)


def fetch_files(package, members, advice):
    """Write files out of a package of npm.

    Args:
        package: name@version.
        members: {path in the package: path to write}.
        advice: what the user can do where npm does not work.

    Raises:
        UserError: npm is not here, cannot fetch the package, or it lacks a file.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(_pack_package(package, folder, advice)) as archive,
    ):
        for member, path in members.items():
            try:
                data = archive.extractfile(f"package/{member}").read()
            except KeyError:
                raise UserError(f"npm's {package} has no {member}; repeat, {advice}") from None
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)


def _pack_package(package, folder, advice):
    """The path of a package's archive, in a folder."""
    command = ["npm", "pack", "--silent", package]
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(
            f"npm, which fetches {package}, is not here: install it, {advice}"
        ) from None
    if done.returncode or not done.stdout.split():
        reason = one_line(done.stderr)[:200]
        raise UserError(f"npm could not fetch {package}: {reason}; repeat, {advice}")
    return Path(folder, done.stdout.split()[-1])


PACKAGE = "onnxruntime-web@1.30.0"
# Their SHA-256. The smallest build: WebAssembly alone, which with one thread needs no headers that
# a plain web server does not send.
FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs":
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm":
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}  # fmt: skip
_ADVICE = "or name a folder of its files: --runtime DIR"


def find_runtime(folder=None):
    """The paths of the three files, each held against its checksum.

    Args:
        folder: where they lie. None: the user's cache, into which npm fetches them where it lacks
            one or one is damaged.

    Raises:
        UserError: the folder lacks one, or holds another's; or npm does not work.
    """
    if folder is not None:
        paths = _name_files(folder)
        for path in paths:
            _check_file(path)
        return paths
    paths = _name_files(npm_cache_folder(PACKAGE))
    if not all(map(_is_whole, paths)):
        fetch_files(PACKAGE, {f"dist/{path.name}": path for path in paths}, _ADVICE)
        for path in paths:
            _check_file(path)
    return paths


def _name_files(folder):
    return [Path(folder, name) for name in FILES]


def _is_whole(path):
    return path.is_file() and file_digest(path) == FILES[path.name]


def _check_file(path):
    if not path.is_file():
        raise UserError(f"{path}: missing; it is in npm's package {PACKAGE}, in dist/")
    if not _is_whole(path):
        raise UserError(f"{path}: damaged, or of another version than {PACKAGE}; take that one's")

"""onnxruntime-web, which runs exported networks in browsers: fetched by npm, checked by SHA-256.

Its three files are Microsoft's, under the MIT licence.
"""

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hourglass.utils.errors import UserError, one_line
from hourglass.utils.files import atomic_path, file_digest

PACKAGE = "onnxruntime-web@1.30.0"
# SHA-256 of each. The smallest build: WebAssembly alone. With one thread it needs no headers that a
# plain web server does not send.
FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs":
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm":
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}  # fmt: skip


def find_runtime(folder: Path | None = None) -> list[Path]:
    """The paths of onnxruntime-web's three files, each with the right checksum.

    Args:
        folder: where they lie. None: the user's cache; npm fetches there what is missing or
            damaged.

    Raises:
        UserError: a file is missing, damaged or of another version, or npm does not work.
    """
    paths = [Path(folder or npm_cache_folder(PACKAGE), name) for name in FILES]
    if folder is None and not all(map(_is_whole, paths)):
        members = {f"dist/{path.name}": path for path in paths}
        fetch_files(PACKAGE, members, "or name a folder of its files: --runtime DIR")
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: missing; it is in npm's package {PACKAGE}, in dist/")
        if not _is_whole(path):
            raise UserError(
                f"{path}: damaged, or of another version than {PACKAGE}; take that one's"
            )
    return paths


def _is_whole(path: Path) -> bool:
    return path.is_file() and file_digest(path) == FILES[path.name]


def npm_cache_folder(name: str) -> Path:
    """The folder of this name, in the user's cache, for files out of npm's packages."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "hourglass", "npm", name)


def fetch_files(package: str, members: Mapping[str, Path], advice: str) -> None:
    """Write files out of a package of npm, which checks it against the registry's sums.

    Args:
        package: name@version.
        members: {path in the package: path to write}.
        advice: the end of a message, what to do where npm does not work.

    Raises:
        UserError: npm is not installed or cannot fetch the package, or the package lacks a file.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(_pack_package(package, folder, advice)) as archive,
    ):
        for member, path in members.items():
            try:
                file = archive.extractfile(f"package/{member}")
            except KeyError:
                file = None
            if file is None:
                raise UserError(f"npm's {package} has no {member}; repeat, {advice}")
            with atomic_path(path) as temporary:
                temporary.write_bytes(file.read())


def _pack_package(package: str, folder: str, advice: str) -> Path:
    command = ["npm", "pack", "--silent", package]
    try:
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(f"no npm here to fetch {package}: install npm, {advice}") from None
    if done.returncode or not done.stdout.split():
        reason = one_line(done.stderr)[:200]
        raise UserError(f"npm could not fetch {package}: {reason}; repeat, {advice}")
    return Path(folder, done.stdout.split()[-1])

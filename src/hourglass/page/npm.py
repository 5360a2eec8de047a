"""Packages of npm: fetched by npm itself, which holds them against the registry's sums."""

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hourglass.errors import UserError, one_line
from hourglass.files import atomic_path


def cache_folder(name):
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

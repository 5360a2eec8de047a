"""Archives of any members, whole and indexed."""

import hashlib
import io
import tarfile
import zipfile

import numpy as np

from hourglass.data.tar_index import index_archive


def random_bytes(size, seed=0):
    return np.random.default_rng(seed).bytes(size)


def md5(content):
    return hashlib.md5(content).hexdigest()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def zip_bytes(members):
    """A zip of (path, content) pairs, as an attacker may write it: nothing is normalised."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in members:
            info = path if isinstance(path, zipfile.ZipInfo) else zipfile.ZipInfo(path)
            archive.writestr(info, content)
    return buffer.getvalue()


def tar_info(name, kind=tarfile.REGTYPE, size=0, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, linkname
    return info


def write_tar(path, members):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, content in members:
            named = isinstance(member, str)
            info = tar_info(member, size=len(content)) if named else member
            archive.addfile(info, io.BytesIO(content))
    return md5(path.read_bytes())


def index_tar(path, members):
    index_archive(path, write_tar(path, members))
    return path

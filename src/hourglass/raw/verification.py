"""Whether a fetched file is the right one."""

import hashlib
import re
from pathlib import Path

from hourglass.errors import UserError
from hourglass.files import read_json_list
from hourglass.raw import archives
from hourglass.raw.progress import byte_bar

CHUNK_BYTES = 1 << 18


def find_fault(remote, path):
    """What makes the file at `path` another one than `remote`, a `RemoteFile`; else None."""
    if remote.md5:
        md5 = _hash_file(path, remote.name)
        return None if md5 == remote.md5 else f"has md5 {md5}, not {remote.md5}"
    checks = {".zip": archives.find_zip_fault, ".json": _find_json_fault, ".txt": _find_list_fault}
    check = checks.get(Path(remote.name).suffix)
    return check(path) if check else None


def _hash_file(path, name):
    md5 = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file, byte_bar(f"check {name}", path.stat().st_size) as bar:
        while chunk := file.read(CHUNK_BYTES):
            md5.update(chunk)
            bar.update(len(chunk))
    return md5.hexdigest()


def _find_json_fault(path):
    try:
        records = read_json_list(path, "")
    except UserError:
        records = []
    # A server's error page, sent with status 200, fails here.
    good = records and all(isinstance(record, dict) for record in records)
    return None if good else "is not a JSON list of person records"


def _find_list_fault(path):
    names = path.read_text(encoding="utf-8", errors="replace").split()
    good = names and all(re.fullmatch(r"[\w.-]+\.jpg", name) for name in names)
    return None if good else "is not a list of picture names"

"""Photographs of public repositories for `experiments/teachers.py`: the sets street and web.

usage: python experiments/collect.py CLONES OUT

CLONES holds a git clone of each repository of `SOURCES`, named OWNER+NAME. OUT/street and OUT/web
become folders of pictures. Of a repository with more photographs than `limit` a sample is taken, by
a seed. A file that was written once is not written again under another name.
"""

import argparse
import hashlib
import random
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from hourglass.utils.errors import UserError, exit_on_user_error

SEED = 1
MIN_BYTES = 4000  # fewer are icons
PICTURE = re.compile(r"\.(jpe?g|png)$", re.IGNORECASE)
PNG, JPEG = b"\x89PNG", b"\xff\xd8"
SPORTS = (
    "badminton|tennis|gymnastics|table_tennis|boxing|cricket|fencing|weight_lifting|basketball|"
    "volleyball|football|baseball"
)
ACTIONS = (
    "running|dancing|sitting|cycling|texting|calling|drinking|clapping|using_laptop|eating|"
    "listening_to_music|fighting"
)


class Source(NamedTuple):
    """Photographs of a repository: those whose paths match, `limit` of them, for a set.

    Attributes:
        prefix: of their names in the set; "" keeps their own.
    """

    repository: str
    commit: str
    paths: str
    folder: str
    prefix: str
    limit: int


SOURCES = (
    Source("bearpaw/clothing-co-parsing", "fe34fb7", r"\.jpg$", "street", "", 2100),
    Source("saahil1801/Yoga-Pose-Estimation-using-Transfer-Learning", "16cdd6c", r"^YogaPoses",
           "web", "yogaa", 1000),
    Source("LucaPomer/YogaPoseDetection", "37588c2", r"^((?!keleton|sceleton).)*$",
           "web", "yogab", 800),
    Source("Manoj-2702/Yoga_Poses-Dataset", "2799e80", r"/Images/", "web", "yogac", 700),
    Source("VikramShenoy97/Human-Segmentation-Dataset", "fe4efc5", r"Training_Images",
           "web", "seg", 290),
    Source("jurjsorinliviu/Sports-Type-Classifier", "4451376", rf"^data/({SPORTS})/",
           "web", "sport", 2600),
    Source("UmaimaKhan01/RESNET-and-VIT-performance-on-Human-Action-Recognition-", "557e76a",
           rf"^data/train/({ACTIONS})/", "web", "har", 2400),
)  # fmt: skip


@exit_on_user_error
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clones", type=Path, help="a folder of git clones, named OWNER+NAME")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    seen = set()
    for source in SOURCES:
        folder = options.out / source.folder
        folder.mkdir(parents=True, exist_ok=True)
        clone = options.clones / source.repository.replace("/", "+")
        number = write_pictures(clone, source, folder, seen)
        print(f"{source.repository}: {number} photographs in {folder}", flush=True)


def write_pictures(clone, source, folder, seen):
    """Write a source's pictures that `seen`, a set of digests, lacks; gives their number."""
    number = 0
    for path in choose_paths(clone, source):
        data = read_blob(clone, f"{source.commit}:{path}")
        digest = hashlib.md5(data).digest()
        suffix = {PNG: ".png", JPEG + data[2:4]: ".jpg"}.get(data[:4])
        if suffix is None or len(data) < MIN_BYTES or digest in seen:
            continue
        seen.add(digest)
        name = f"{source.prefix}_{number:05d}" if source.prefix else Path(path).stem
        (folder / f"{name}{suffix}").write_bytes(data)
        number += 1
    return number


def choose_paths(clone, source):
    listed = git(clone, "ls-tree", "-r", "-z", "--name-only", source.commit)
    if listed.returncode:
        raise UserError(f"{clone}: {listed.stderr.decode().strip()}; clone {source.repository}")
    names = listed.stdout.decode().split("\0")
    paths = [name for name in names if PICTURE.search(name) and re.search(source.paths, name)]
    random.Random(SEED).shuffle(paths)
    return paths[: source.limit]


def read_blob(clone, name):
    """The bytes of a file; none where a partial clone lacks it."""
    return git(clone, "cat-file", "blob", name).stdout


def git(clone, *arguments):
    return subprocess.run(["git", "-C", clone, *arguments], capture_output=True, check=False)


if __name__ == "__main__":
    main()

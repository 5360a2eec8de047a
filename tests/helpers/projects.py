"""A git repository with the pipeline, as demo/ is in ours, and the commands that are run in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from helpers.paths import ROOT


def make_project(root, changes=()):
    """A new repository `root` in whose folder demo/ the pipeline can run: that folder.

    `changes` are of demo/params.yaml, {(section, key): value}.
    """
    folder = root / "demo"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / ".gitignore", root)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / "demo" / name, folder)
    for name in ("src", "stages"):
        shutil.copytree(
            ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        (folder / name).symlink_to(f"../{name}")
    params = yaml.safe_load((ROOT / "demo/params.yaml").read_text())
    for (section, key), value in dict(changes).items():
        params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    run(root, "git", "init", "-q")
    run(folder, "dvc", "init", "-q", "--subdir")
    return folder


def project_environment(project):
    """For what runs in `project`: no settings, caches or accounts but its own."""
    around = project.parents[1]
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(around / "cache"),
        "DVC_SITE_CACHE_DIR": str(around / "site"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost",
        "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@localhost",
    }  # fmt: skip


def try_to_run(project, *command, **changes):
    """Run a command in `project` to its end; `changes` are of its environment."""
    environment = project_environment(project) | changes
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def run(project, *command, **changes):
    """What a command that must succeed writes to stdout."""
    done = try_to_run(project, *command, **changes)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

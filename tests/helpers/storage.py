"""An S3-like storage on this machine, and machines that share a project by it."""

import shutil
from pathlib import Path

import pytest
import yaml

from helpers.archives import md5, random_bytes
from helpers.paths import ROOT
from helpers.projects import make_project, run, try_to_run

PACKAGES = ("dvc_s3", "moto.server", "boto3")  # not in the locks: 87 MB
NOT_INSTALLED = "not there: pip install dvc-s3 'moto[s3]' flask flask-cors"
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
# Whatever account the tests' own machine has is left alone.
ACCOUNT = {
    **{name.upper(): value for name, value in KEYS.items()},
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}  # fmt: skip
SHIPPED = ROOT / "src/hourglass/shipped"
MODEL = "models/hourglass.keras"
PREFIX = "hourglass/files/md5"
REMOTE_COMMANDS = (  # those of docs/sharing.md
    "dvc remote add --default storage s3://bucket/hourglass",
    "dvc remote modify storage verify true",
)


class Bucket:
    """A bucket of moto's S3 server, which it starts: its objects by their keys."""

    name = "bucket"

    def __init__(self):
        _, moto, boto3 = (pytest.importorskip(name, reason=NOT_INSTALLED) for name in PACKAGES)
        self.server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.server.start()
        self.address = self.server.get_host_and_port()
        self.url = "http://{}:{}".format(*self.address)
        self.client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **KEYS)
        self.client.create_bucket(Bucket=self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def read(self):
        """{key: bytes} of all objects; they are fewer than a listing's 1,000."""
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {entry["Key"]: self.get(entry["Key"]) for entry in found}

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def put(self, key, content):
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


def all_outs():
    """The paths of all outs of dvc.yaml as demo/ has them, and whether DVC's cache holds each."""
    outs = {}
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        for out in stage.get("outs", []) + stage.get("metrics", []):
            ((path, options),) = ({out: {}} if isinstance(out, str) else out).items()
            outs[path.replace("${data.dataset}", "synthetic")] = options.get("cache", True)
    return outs


def deps_within_outs():
    """The files that dvc.yaml names as dependencies and that lie in an out, a folder."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    deps = {dep for stage in stages for dep in stage.get("deps", [])}
    return sorted(dep for dep in deps if str(Path(dep).parent) in all_outs())


def make_finished_project(root):
    """A project as all stages leave it: the shipped network, and any text for every other out."""
    project = make_project(root)
    files = [path if Path(path).suffix else f"{path}/file" for path in all_outs()]
    for seed, file in enumerate(map(project.joinpath, [*files, *deps_within_outs()])):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(random_bytes(5_000, seed).hex())  # no metrics are binary
    for ending in ("keras", "onnx"):
        shutil.copy(SHIPPED / f"photographs.{ending}", project / f"models/hourglass.{ending}")
    run(project, "dvc", "commit", "--force")
    return project


def add_remote(project, url):
    """The bucket as the project's remote, as the documentation adds it, and what git is to know."""
    for command in REMOTE_COMMANDS:
        run(project, *command.split())
    run(project, "dvc", "remote", "modify", "storage", "endpointurl", url)
    run(project, "git", "add", "--all")
    run(project, "git", "commit", "--quiet", "--message", "the remote, and a run")


def clone(project, root):
    """The same project on another machine, which has of it what is in git."""
    run(project, "git", "clone", "--quiet", str(project.parent), str(root))
    return root / project.name


def run_dvc(project, *arguments, **changes):
    """`dvc` with an account of the storage: the ended process, with its output."""
    return try_to_run(project, "dvc", *arguments, **ACCOUNT | changes)


def ask_dvc(project, *arguments):
    """What `dvc` says, which must succeed."""
    return run(project, "dvc", *arguments, **ACCOUNT)


def key_of(content):
    """Where DVC puts these bytes in the bucket."""
    digest = md5(content)
    return f"{PREFIX}/{digest[:2]}/{digest[2:]}"


def files_of_outs(project):
    """{path: bytes} of every file of any out of the stages."""
    found = {}
    for path in map(project.joinpath, all_outs()):
        files = path.rglob("*") if path.is_dir() else [path]
        found |= {str(f.relative_to(project)): f.read_bytes() for f in files if f.is_file()}
    return found


def pulled_files(project):
    """Those of them that another machine has after git and `dvc pull`."""
    files = files_of_outs(project)
    return {path: files[path] for path in files if not path.startswith("data/raw/")}


def damaged_objects(project):
    """The objects in DVC's cache whose bytes are not those that they are named after.

    What was on its way when DVC was killed is none: it lies there as `.NAME.tmp`.
    """
    paths = (project / ".dvc/cache/files/md5").glob("??/[!.]*")
    names = {path: path.parent.name + path.name.removesuffix(".dir") for path in paths}
    return [path for path, name in names.items() if md5(path.read_bytes()) != name]

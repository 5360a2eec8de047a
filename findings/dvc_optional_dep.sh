#!/usr/bin/env bash
# DVC: a parameter cannot switch a dep off. Seen with dvc 3.67.1.
#
# - `deps: ["${folder}"]` with `folder: ""`, or null, in params.yaml ends `dvc repro` with
#   "ERROR: unexpected error": no file, no stage and no reason are named.
# - The same path twice among the deps is accepted, and stands twice in dvc.lock, although a path
#   that is a dep and an out is refused. So an optional dep may name a file that is a dep anyway.
#
# A good engineer would expect "" to be no dep, or a message that names it; and a path that stands
# twice to be an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" DVC_NO_ANALYTICS=1
mkdir "$folder/project" && cd "$folder/project"
git init --quiet && dvc init --quiet
echo hello > in.txt
cat > dvc.yaml <<'YAML'
stages:
  copy:
    cmd: cp in.txt out.txt
    deps: [in.txt, "${folder}"]
    outs: [out.txt]
YAML

for value in '""' null; do
    echo "folder: $value" > params.yaml
    if said=$(dvc repro 2>&1); then echo "folder: $value is accepted"; exit 1; fi
    echo "folder: $value gives: $(grep ERROR <<< "$said")"
    grep -q 'ERROR: unexpected error$' <<< "$said" || { echo "the behaviour has changed"; exit 1; }
done

echo 'folder: in.txt' > params.yaml
dvc repro --quiet
number=$(grep -c 'path: in.txt' dvc.lock)
echo "folder: in.txt runs, and dvc.lock names it $number times"
[ "$number" = 2 ] || { echo "the behaviour has changed"; exit 1; }

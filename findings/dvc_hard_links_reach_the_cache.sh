#!/usr/bin/env bash
# DVC: with `cache.type hardlink`, root's edit of an output changes the cache, and DVC calls the
# wrong bytes right. Seen with dvc 3.67.1; to be run as root, as in a container.
#
# - DVC protects its hard links by their mode, 0444, which root may write through: `cp` into the
#   output overwrites the cache.
# - `dvc repro` then says "cached - skipping run, checking out outputs", and `dvc checkout --force`
#   brings the edited bytes: DVC takes a read-only file of the cache for what its name says.
# - Afterwards `dvc status` says up to date, also once `cache.type` is `copy`.
#
# A good engineer would expect the cache, which is named by content, to be checked or out of reach;
# and `dvc checkout --force` to bring the bytes whose MD5 is in dvc.lock.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "to be run as root"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/site"
mkdir "$folder/project" && cd "$folder/project"

for kind in hardlink copy; do
    rm -rf ./* ./.[!.]*
    git init --quiet && dvc init --quiet && dvc config cache.type "$kind"
    echo "stages: {copy: {cmd: cp in.txt out.txt, deps: [in.txt], outs: [out.txt]}}" > dvc.yaml
    echo right > in.txt
    dvc repro --quiet
    rm out.txt && dvc checkout --quiet  # a link, where DVC makes links
    echo edited > in2.txt && cp in2.txt out.txt
    dvc repro --quiet
    dvc checkout --quiet --force
    echo "$kind: out.txt is '$(cat out.txt)', dvc status says: $(dvc status)"
    expected=$([ "$kind" = hardlink ] && echo edited || echo right)
    [ "$(cat out.txt)" = "$expected" ] || { echo "the behaviour has changed"; exit 1; }
    dvc status | grep -q "up to date" || { echo "the behaviour has changed"; exit 1; }
done

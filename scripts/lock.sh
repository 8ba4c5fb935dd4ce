#!/usr/bin/env bash
# Write requirements.txt (runtime), requirements-dev.txt (that and the tools) and requirements-peers.txt
# (that and what detectors are compared with), with hashes and
# without addresses: who installs decides where from. They hold for Python 3.11 and newer.
#   scripts/lock.sh              keep the versions that still fit
#   scripts/lock.sh --upgrade    take the newest
set -euo pipefail
cd "$(dirname "$0")/.."

uv=.venv/bin/uv
[ -x "$uv" ] || uv=$(command -v uv) || { echo "lock: uv is not installed; run make setup" >&2; exit 1; }

lock() {
    local out=$1
    shift
    "$uv" pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet --output-file "$out"
    sed -i "1i # Written by make lock. Install with: pip install --require-hashes -r $out" "$out"
}

lock requirements.txt --extra build "$@"
# the runtime's versions are the ones that are tested
lock requirements-dev.txt --extra build --extra dev --extra bench --constraint requirements.txt "$@"
# what only the comparison of detectors needs, over the versions that are tested
lock requirements-peers.txt --extra build --extra dev --extra bench --extra peers --constraint requirements-dev.txt "$@"

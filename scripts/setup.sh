#!/bin/sh
# Make .venv with the locked dependencies, from nothing but Python 3.11 or newer and pip.
#   scripts/setup.sh runtime    what `forestall` needs to run
#   scripts/setup.sh dev        that, and the tools for tests and checks
#   scripts/setup.sh peers      that, and what `make bench ARGS=detection` compares with
# PYTHON names another interpreter. Called by make, which remembers that it is done.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
    runtime) requirements=requirements.txt ;;
    dev) requirements=requirements-dev.txt ;;
    peers) requirements=requirements-peers.txt ;;
    *) echo "setup.sh: expected runtime, dev or peers, got '${1:-}'" >&2; exit 2 ;;
esac

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    have=$(${PYTHON:-python3} --version 2>&1) || have="none"
    fail "expected Python 3.11 or newer as ${PYTHON:-python3}, found: $have" \
        "install it, or name it: make setup PYTHON=/path/to/python3.12"
}

usable() {
    [ -x .venv/bin/python ] && new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1
}

make_venv() {
    python=$(find_python)
    echo "setup: .venv with $("$python" --version)"
    rm -rf .venv
    if "$python" -m venv .venv >/dev/null 2>&1; then
        return
    fi
    # Debian keeps ensurepip in a package of its own (python3-venv): take pip from the system's pip
    rm -rf .venv
    "$python" -m venv --without-pip .venv 2>/dev/null ||
        fail "$python has no module venv; install it (Debian: apt-get install python3-venv)"
    "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check pip ||
        fail "could not put pip into .venv: $python has no ensurepip, and its own pip is missing or older than 22.3" \
            "install one of them (Debian: apt-get install python3-venv)"
}

usable || make_venv
pip() {
    .venv/bin/python -m pip --disable-pip-version-check "$@"
}
echo "setup: installing $requirements (a few minutes the first time)"
pip install --quiet --require-hashes -r "$requirements"
# what it builds with came with the requirements: nothing is fetched here
pip install --quiet --no-deps --no-build-isolation -e .
echo "setup: compiling the detectors, where this version has not been"
.venv/bin/python -m streams.programs.warm_up
touch .venv/.runtime
if [ "$requirements" != requirements.txt ]; then touch .venv/.dev; fi
echo "setup: done"

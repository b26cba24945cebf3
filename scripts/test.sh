#!/bin/sh
# Run the whole suite, and say in plain words what this machine could not run and why.
# With CI=true a missing part fails instead (see tests/conftest.py).
set -eu
cd "$(dirname "$0")/.."

missing() {
    echo "$1" >&2
    [ -z "${CI:-}" ] || exit 1
}

# packages FOLDER NAME...: install what the folder's lock file names, when one of NAME is not there.
packages() {
    folder=$1
    shift
    for name in "$@"; do
        [ -d "$folder/node_modules/$name" ] || { install "$folder" && return 0; }
    done
}

install() {
    if ! command -v npm >/dev/null 2>&1; then
        missing "npm is missing (apt-get install nodejs npm): $1 is not tested"
    elif ! (cd "$1" && npm ci --silent --no-audit --no-fund); then
        # Half of an installation would look like a whole one the next time.
        rm -rf "$1/node_modules"
        missing "npm ci failed in $1: it is not tested"
    fi
}

packages tests/clients/node fhir-kit-client simple-hl7
packages tests/browser playwright-core axe-core
packages smart_apps/example fhirclient
command -v chromium >/dev/null 2>&1 ||
    missing "Chromium is missing (apt-get install chromium): the pages are not tested in a browser"

# Processes that tests start need not compile the program each for itself.
unset PYTHONDONTWRITEBYTECODE

# A commit waits for the disk, and others may keep that busy: where there is room, the files of
# tests lie in memory.  That a commit reaches the disk is seen in its system calls.
room() {
    df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'
    awk '/^MemAvailable/ { print $2 }' /proc/meminfo 2>/dev/null
}
if [ -z "${TMPDIR:-}" ] && [ "$(room /dev/shm | awk '$1 > 6000000' | wc -l)" -eq 2 ]; then
    TMPDIR=$(mktemp -d /dev/shm/tellonce-test-XXXXXX)
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 130' HUP INT TERM
fi
.venv/bin/python -m pytest -m "not soak" -n "${TELLONCE_TEST_WORKERS:-2}" --dist loadgroup "$@"

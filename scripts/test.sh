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
exec .venv/bin/python -m pytest -m "not soak" -n "${TELLONCE_TEST_WORKERS:-2}" --dist loadgroup "$@"

#!/bin/sh
# Run the whole suite, and say in plain words what this machine could not run and why.
# With CI=true a missing part fails instead (see tests/conftest.py).
set -eu
cd "$(dirname "$0")/.."
client=tests/clients/node

missing() {
    echo "$1: the Node clients are not tested" >&2
    [ -z "${CI:-}" ] || exit 1
}

if [ -d "$client/node_modules/fhir-kit-client" ] && [ -d "$client/node_modules/simple-hl7" ]; then
    :
elif ! command -v npm >/dev/null 2>&1; then
    missing "npm is missing (apt-get install nodejs npm)"
elif ! (cd "$client" && npm ci --silent --no-audit --no-fund); then
    # Half of an installation would look like a whole one the next time.
    rm -rf "$client/node_modules"
    missing "npm ci failed in $client"
fi
exec .venv/bin/python -m pytest -m "not soak" -n "${TELLONCE_TEST_WORKERS:-2}" --dist loadgroup "$@"

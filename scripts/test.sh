#!/bin/sh
# Run the whole suite, and say in plain words what this machine could not run and why.
# With CI=true a missing part fails instead (see tests/conftest.py).
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin

if command -v npm >/dev/null 2>&1; then
    [ -f tests/clients/node/package.json ] && [ ! -d tests/clients/node/node_modules ] &&
        (cd tests/clients/node && npm ci --silent --no-audit --no-fund)
else
    echo "Node is missing: its client is not tested (apt-get install nodejs npm)" >&2
    [ "${CI:-}" = "true" ] && exit 1
fi
exec "$bin/python" -m pytest -m "not soak" -n "${TELLONCE_TEST_WORKERS:-2}" --dist loadgroup "$@"

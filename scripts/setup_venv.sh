#!/bin/sh
# Make the virtual environment $2 with $1 and install the project with its development tools.
# Every failure is one line that says what to type.
set -eu
python=$1
venv=$2

command -v "$python" >/dev/null 2>&1 || {
    echo "Python is missing: apt-get install python3 python3-venv" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$("$python" --version) is too old: Tellonce needs 3.11; name another with make PYTHON=..." >&2
    exit 1
}
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
    echo "The module venv is missing: apt-get install python3-venv" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing into $venv (once; takes about a minute) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]' 2>"$venv/pip.log" || {
    cat "$venv/pip.log" >&2
    echo "pip could not install the project; its words are above" >&2
    exit 1
}

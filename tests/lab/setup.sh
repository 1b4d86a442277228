#!/bin/sh
# Makes the Python environment of the lab: target/lab-venv. Run again, it does nothing unless requirements.txt has changed.
set -eu
cd "$(dirname "$0")/../.."
venv=target/lab-venv
wanted=tests/lab/requirements.txt
if [ -x "$venv/bin/python" ] && cmp -s "$wanted" "$venv/requirements.txt"; then
    exit 0
fi
echo "Making $venv for the lab"
mkdir -p target
rm -rf "$venv"
python3 -m venv "$venv" || {
    echo "python3 cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
}
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
# Copied last, so that an installation cut short is begun anew.
cp "$wanted" "$venv/requirements.txt"

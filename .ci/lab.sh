#!/usr/bin/env bash
# `make lab`: Conclave beside headless Chromium over the same emulated networks; the table goes to docs/PERFORMANCE.md.
#
#   make lab                      every case, about 25 minutes
#   make lab CASES="loss5 drop"   some of them; the document stays as it is
#   make lab LAB_SECONDS=60       longer calls
#
# Needs root for network namespaces, Linux with TUN devices, and nothing else that keeps the machine busy. What each run
# left behind is in target/lab.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
    echo "The lab makes network namespaces, which needs root: sudo make lab" >&2
    exit 1
fi
sh .ci/packages.sh build lab
sh tests/lab/setup.sh
cargo build --locked --release --bin conclave --example lab-link
target=${CARGO_TARGET_DIR:-target}
load=$(cut -d' ' -f1 /proc/loadavg)
echo "Load of this machine before the start: $load. Figures of a busy one are worth little."
exec target/lab-venv/bin/python tests/lab/run.py --conclave "$target/release/conclave" --link "$target/release/examples/lab-link" \
    --cases "${CASES:-}" --seconds "${LAB_SECONDS:-20}" --write docs/PERFORMANCE.md

#!/bin/sh
# `make run`: system packages, release build, and then the window. Without a display: a real two-person call.
set -eu
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null 2>&1; then
    echo "Conclave is written in Rust, and cargo was not found. Install Rust 1.95 or newer from https://rustup.rs" >&2
    exit 1
fi

echo "[1/3] System packages"
sh .ci/packages.sh build run

echo "[2/3] Building the release (the first time compiles everything: about 15 minutes on two cores)"
cargo build --release --locked --bins

target=${CARGO_TARGET_DIR:-target}
if [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ] || [ "$(uname -s)" = Darwin ]; then
    echo "[3/3] Opening Conclave"
    exec "$target/release/conclave" "$@"
fi
echo "[3/3] There is no display here, so two people meet without one"
exec bash .ci/demo.sh "$target/release/conclave"

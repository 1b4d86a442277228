#!/bin/sh
# Installs the system packages that Conclave needs, on Debian and Ubuntu. Says what is missing before it installs.
#
#   .ci/packages.sh build        to compile
#   .ci/packages.sh build run    and to open the window
#   .ci/packages.sh build run test
#   .ci/packages.sh build lab
#
# Other systems: it prints what to have, and ends well. Nothing is ever removed (apt-get --no-remove).
set -eu

# A compiler for the C parts (libopus by cmake, OpenH264 whose fast paths need nasm), bindgen for the camera, ALSA.
build="build-essential cmake nasm pkg-config libclang-dev libasound2-dev"

# The window opens these when it starts; no linker asks for them.
run="libgl1 libegl1 libgl1-mesa-dri libx11-6 libx11-xcb1 libxcursor1 libxi6 libxrandr2 libxkbcommon0
     libxkbcommon-x11-0 libwayland-client0 libwayland-cursor0 libwayland-egl1"

# A screen, keys to press on it and a picture of it (xvfb, xdotool and imagemagick: tests/app_window.rs), a sound server, a
# router and a TURN server (coturn), each started by the test that needs it; Python for second implementations; a message
# bus, and what judges a menu entry and its description.
test="xvfb xdotool imagemagick mesa-vulkan-drivers pulseaudio-utils libasound2-plugins
      miniupnpd-nftables coturn tcpdump iproute2 nftables procps python3 python3-venv
      dbus-daemon desktop-file-utils appstream"

# What the lab (make lab) compares with, a voice for both, and what its networks and measurements need.
lab="chromium espeak-ng iproute2 python3 python3-venv"

say() { printf '%s\n' "$*"; }

installed() {
    case $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null || true) in
        *'ok installed') return 0 ;;
        *) return 1 ;;
    esac
}

wanted=""
for group in "${@:-build}"; do
    case $group in
        build) wanted="$wanted $build" ;;
        run) wanted="$wanted $run" ;;
        test)
            wanted="$wanted $test"
            # A desktop with PipeWire keeps it: Debian lets only one of the two serve sound.
            if command -v dpkg-query >/dev/null 2>&1 && ! installed pipewire-pulse; then
                wanted="$wanted pulseaudio"
            fi
            ;;
        lab) wanted="$wanted $lab" ;;
        *) say "usage: .ci/packages.sh [build] [run] [test] [lab]" >&2; exit 2 ;;
    esac
done

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    case $(uname -s) in
        Darwin) say "macOS: Conclave needs the Xcode command-line tools, cmake and nasm (brew install cmake nasm)." ;;
        *) say "This system has no apt-get. Conclave needs what Debian calls:" && say "$wanted" ;;
    esac
    exit 0
fi

missing=""
for package in $wanted; do
    installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
    say "System packages: all present."
    exit 0
fi

say "System packages to install:$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
    say "They are installed with sudo, which may ask for your password."
else
    say "They need an administrator. Have this run once, then try again:" >&2
    say "  apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# shellcheck disable=SC2086 # lists of words, on purpose
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"; }

log=$(mktemp)
trap 'rm -f "$log" "$log.failed"' EXIT
say "Reading the package lists …"
# A third-party list that cannot be reached is no reason to stop: what is needed comes from the system's own.
apt update >"$log" 2>&1 || say "Some package lists could not be read; going on with those that could."
say "Installing …"
# shellcheck disable=SC2086
{ apt install -y --no-install-recommends --no-remove $missing 2>&1 || : >"$log.failed"; } |
    tee "$log" | sed -n 's/^Setting up \([^ :]*\).*/  \1/p'
if [ -e "$log.failed" ]; then
    tail -n 30 "$log" >&2
    say "apt-get did not succeed; its last lines are above." >&2
    exit 1
fi
say "System packages: installed."

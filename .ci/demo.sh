#!/usr/bin/env bash
# A real call between two processes on this machine, through the relay inside the host's app.
#
#   .ci/demo.sh [PATH OF conclave] [SECONDS]
#
# Each side has an identity of its own in a temporary folder. Camera and microphone are the built-in test sources.
# What the guest saw stays as target/demo/guest-saw.png, the reports beside it. Exit 0 only if the call was held by
# both and their safety numbers agree.
set -eu
cd "$(dirname "$0")/.."

conclave=${1:-${CARGO_TARGET_DIR:-target}/release/conclave}
seconds=${2:-12}
out=${CARGO_TARGET_DIR:-target}/demo
if [ ! -x "$conclave" ]; then
    echo "There is no program at $conclave. Build it first: cargo build --release" >&2
    exit 1
fi
mkdir -p "$out"
rm -f "$out/guest-saw.png" "$out/host.json" "$out/guest.json"
folder=$(mktemp -d)
host="" guest=""
cleanup() {
    # Ends only what was started here.
    for process in $host $guest; do kill "$process" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Adds a name in front of each line, as it comes.
named() { while IFS= read -r line || [ -n "$line" ]; do printf '%-6s| %s\n' "$1" "$line"; done; }

sources=(--camera test --mic test --speaker none)
mkfifo "$folder/host.err" "$folder/guest.err"
: >"$folder/host.out"

tee "$folder/host.said" <"$folder/host.err" | named host &
host_words=$!
"$conclave" --config "$folder/host" call --name Ana "${sources[@]}" --admit-all --seconds "$seconds" --wait 60 \
    --report "$out/host.json" >"$folder/host.out" 2>"$folder/host.err" &
host=$!

link=""
for _ in $(seq 1 300); do
    # `read` succeeds on a whole line only: half a link is not used.
    if IFS= read -r link <"$folder/host.out"; then break; fi
    link=""
    kill -0 "$host" 2>/dev/null || break
    sleep 0.1
done
if [ -z "$link" ]; then
    echo "The host printed no invite link." >&2
    exit 1
fi
echo "link  | $link"

tee "$folder/guest.said" <"$folder/guest.err" | named guest &
guest_words=$!
"$conclave" --config "$folder/guest" call "$link" --name Ben "${sources[@]}" --seconds "$seconds" --wait 60 \
    --report "$out/guest.json" --snapshot "$out/guest-saw.png" >/dev/null 2>"$folder/guest.err" &
guest=$!

held=0
wait "$guest" || held=1
guest=""
wait "$host" || held=1
host=""
wait "$host_words" "$guest_words" || true

# The whole safety number as each side said it, and single values of the reports, without needing a JSON tool.
number() { sed -n 's/^Safety number  *//p' "$1" | tail -n 1; }
# value FILE KEY [N]: the Nth (default: first) scalar of that name. The reports are written one value a line.
value() { sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\} *\$/\1/p" "$1" 2>/dev/null | sed -n "${3:-1}p"; }
row() { printf '  %-38s %16s %16s\n' "$1" "${2:-–}" "${3:-–}"; }
both() { row "$1" "$(round "$(value "$out/host.json" "$2" "${3:-1}")")" "$(round "$(value "$out/guest.json" "$2" "${3:-1}")")"; }
round() {
    case $1 in
        null) echo "–" ;;
        *.*) LC_ALL=C printf '%.1f\n' "$1" ;;
        *) echo "$1" ;;
    esac
}

host_number=$(number "$folder/host.said")
guest_number=$(number "$folder/guest.said")
echo
echo "Link           $link"
echo "               (it ended with the meeting)"
echo "Safety number  host   ${host_number:-none}"
echo "               guest  ${guest_number:-none}"
if [ -n "$host_number" ] && [ "$host_number" = "$guest_number" ]; then
    echo "               They are equal: nobody sits between the two."
else
    echo "               They differ, or one is missing."
    held=1
fi
echo
row "" "host (Ana)" "guest (Ben)"
both "connected after, ms" connect_ms
both "first picture after, ms" first_frame_ms
both "pictures sent" video
both "pictures received" received
both "pictures decoded" decoded
both "frozen, ms" freeze_ms
both "picture in to picture out, median ms" p50
both "picture in to picture out, p95 ms" p95
both "sound packets received" received 2
both "sound blocks made up" concealed
both "frames that did not open" unopened
both "CPU, s" cpu_seconds
both "memory at most, MB" rss_peak_mb
echo "  sealed with $(value "$out/guest.json" cipher_suite), ML-KEM-768 in the handshake: $(value "$out/guest.json" post_quantum)"
echo
if [ -s "$out/guest-saw.png" ]; then
    echo "What the guest saw: $out/guest-saw.png"
else
    echo "The guest left no picture."
    held=1
fi
echo "Reports:            $out/host.json, $out/guest.json"
if [ "$held" -ne 0 ]; then
    echo "The call was not held as it should have been." >&2
    exit 1
fi

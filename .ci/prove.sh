#!/usr/bin/env bash
# `make prove`: runs the symbolic models in docs/proofs and compares every verdict with docs/proofs/expected.txt.
#
# Verifpal is a tool (GPL-3.0), built from the public registry into the user's cache; nothing of it is linked or shipped.
# It needs a newer compiler than Conclave does, which rustup brings where it is missing. Ends with 1 on any difference.
set -eu
cd "$(dirname "$0")/.."

version=1.6.7
compiler=1.98.0
place=${XDG_CACHE_HOME:-${HOME:?no home folder to keep the tool in}/.cache}/conclave-tools/verifpal-$version
verifpal=$place/bin/verifpal
# One model takes two minutes at most on two slow cores. What takes longer than this has run away.
limit=${PROVE_LIMIT:-1200}

at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

if ! [ -x "$verifpal" ]; then
    if ! command -v cargo >/dev/null 2>&1; then
        echo "Conclave is written in Rust, and cargo was not found. Install Rust 1.95 or newer from https://rustup.rs" >&2
        exit 1
    fi
    use=""
    if ! at_least "$compiler" "$(rustc --version | cut -d' ' -f2)"; then
        if ! command -v rustup >/dev/null 2>&1; then
            echo "Verifpal $version needs Rust $compiler or newer, and there is no rustup here to bring it." >&2
            exit 1
        fi
        echo "Verifpal $version needs Rust $compiler: installing that beside the one in use …"
        rustup toolchain install "$compiler" --profile minimal --no-self-update
        use="+$compiler"
    fi
    echo "Building Verifpal $version into $place (once; about four minutes on two cores) …"
    # shellcheck disable=SC2086 # empty or one word
    cargo $use install verifpal --version "$version" --locked --quiet --root "$place"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
models=docs/proofs
expected=$models/expected.txt
started=$SECONDS

# Every model and every patch has its lines in the table, or it would be forgotten in silence.
parts=$(grep '^[a-z]' "$expected" | awk '{ n = split($1, part, "+"); print part[1]; for (i = 2; i <= n; i++) print part[1] "." part[i] }')
for file in "$models"/*.vp "$models"/*.patch; do
    name=$(basename "$file")
    if ! grep -Fxq "${name%.*}" <<<"$parts"; then
        echo "$file stands nowhere in $expected" >&2
        exit 1
    fi
done

# `base+patch+patch` to one file: what a variant changes is all that its patch says.
assemble() {
    local base=${1%%+*} patches=${1#*+} part
    cp "$models/$base.vp" "$work/$1.vp"
    [ "$base" = "$1" ] && return
    local IFS=+
    for part in $patches; do
        patch --quiet --fuzz=0 --no-backup-if-mismatch "$work/$1.vp" "$models/$base.$part.patch"
    done
}

queries() { awk '/^queries\[/ { on = 1; next } /^\]/ { on = 0 } on { sub(/^[ \t]+/, ""); print }' "$1"; }

total=$(grep -c '^[a-z]' "$expected")
number=0
: >"$work/actual"
while read -r name sessions _; do
    number=$((number + 1))
    assemble "$name"
    printf '[%d/%d] %s, %d session(s) of everyone\n' "$number" "$total" "$name" "$sessions"
    begun=$SECONDS
    # The result code is a letter and a digit for each query, in their order: 0 it holds, 1 an attack was found.
    code=$(timeout "$limit" "$verifpal" verify "$work/$name.vp" --sessions "$sessions" --quiet --result-code --color never) || {
        echo "Verifpal did not finish with $name (status $?)" >&2
        exit 1
    }
    queries "$work/$name.vp" >"$work/queries"
    printf '%s' "$code" | sed 's/[a-z]//g; s/0/holds\n/g; s/1/attack\n/g' >"$work/verdicts"
    if [ "$(wc -l <"$work/queries")" -ne "$(wc -l <"$work/verdicts")" ]; then
        echo "$name: $(wc -l <"$work/queries") queries, and Verifpal answered: $code" >&2
        exit 1
    fi
    {
        printf '%s %s\n' "$name" "$sessions"
        paste -d' ' "$work/verdicts" "$work/queries" | sed 's/^/    /; s/holds /holds  /'
    } | tee -a "$work/actual" | sed 1d
    printf '    (%d s)\n' $((SECONDS - begun))
done < <(grep '^[a-z]' "$expected")

if ! grep '^[ a-z]' "$expected" | diff -u --label expected --label found - "$work/actual" >"$work/difference"; then
    echo "A verdict is not the expected one:" >&2
    cat "$work/difference" >&2
    exit 1
fi
printf 'All %d models answered as expected: %d queries hold, %d attacks were found where a flaw was planted (%d s).\n' "$total" \
    "$(grep -c '^    holds' "$work/actual")" "$(grep -c '^    attack' "$work/actual")" $((SECONDS - started))

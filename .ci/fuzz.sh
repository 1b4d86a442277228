#!/usr/bin/env bash
# `make fuzz`: every fuzz target for FUZZ_SECONDS (60) each, from the corpus in fuzz/corpus. Names as arguments: only those.
#
# Without a sanitizer, so that the stable compiler will do: the code is safe Rust throughout, and what is looked for is
# panics, overflows (checked in these builds) and answers that are untrue. What is found new stays in fuzz/found, which
# is not committed; an input that breaks a target is in fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."

version=0.13.2
seconds=${FUZZ_SECONDS:-60}
place=${XDG_CACHE_HOME:-${HOME:?no home folder to keep the tool in}/.cache}/conclave-tools/cargo-fuzz-$version

if ! command -v cargo >/dev/null 2>&1; then
    echo "Conclave is written in Rust, and cargo was not found. Install Rust 1.95 or newer from https://rustup.rs" >&2
    exit 1
fi
if ! [ -x "$place/bin/cargo-fuzz" ]; then
    echo "Building cargo-fuzz $version into $place (once) …"
    cargo install cargo-fuzz --version "$version" --locked --quiet --root "$place"
fi
export PATH=$place/bin:$PATH

if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cargo fuzz list); fi

echo "Building ${#targets[@]} of the targets (the first time compiles all dependencies) …"
for target in "${targets[@]}"; do cargo fuzz build --sanitizer none "$target"; done

failed=0
for at in "${!targets[@]}"; do
    target=${targets[$at]}
    mkdir -p "fuzz/found/$target"
    printf '[%d/%d] %s, %s s\n' $((at + 1)) "${#targets[@]}" "$target" "$seconds"
    log=fuzz/found/$target.log
    # The first folder takes what is new; -timeout is for one input, which no parser here needs a second for.
    if cargo fuzz run --sanitizer none "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */    runs: /p; s/^stat::new_units_added: */    new inputs: /p' "$log"
        grep -E '^#[0-9]+[[:space:]]+DONE' "$log" | sed -E 's/.*cov: ([0-9]+) ft: ([0-9]+).*/    edges covered: \1/'
    else
        tail -n 40 "$log" >&2
        echo "    $target FAILED; the input is in fuzz/artifacts/$target" >&2
        failed=1
    fi
done
exit $failed

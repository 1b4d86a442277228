"""`make lab`: Conclave and Chromium over the same emulated networks, with the same film and speech, one after the other.

    run.py --conclave PROGRAM --link PROGRAM [--cases "loss5 drop"] [--seconds N] [--write DOCUMENT]

Figures land in target/lab/results.json, what each run left behind in target/lab/runs. The document is written only after
all cases: figures of different runs do not belong into one table.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import clip
import figures
import table
from cases import CASES, Case
from chromium_pair import ChromiumPair
from conclave_pair import ConclavePair
from network import ADDRESSES, Network, end
from outcome import Outcome

HERE = Path(__file__).parent
# From the first picture on: until estimators have found their rate.
WARM_UP = 12.0
TCP_PORT = "5201"


def hold(case: Case, product: str, options: argparse.Namespace, media: tuple[Path, Path], folder: Path) -> Outcome:
    """Holds the call, or the calls, of one case by one product; the first one's outcome is given."""
    folder.mkdir(parents=True)
    settings = ["--both", case.settings, "--log", str(folder / "packets.csv")]
    for at, change in case.schedule:
        settings += ["--at", str(at), "both", change]
    network = Network(options.link, settings)
    pairs: list[ConclavePair | ChromiumPair] = []
    transfer: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(case.pairs):
            place = folder / str(number)
            if product == "Conclave":
                pairs.append(ConclavePair(options.conclave, network, place, case.look))
            else:
                pairs.append(ChromiumPair(network, place, case.look))
            pairs[-1].begin(media)
            pairs[-1].wait_for_picture()
        if case.tcp:
            for side, role in ((1, "receive"), (0, "send")):
                command = network.command(side, sys.executable, HERE / "bulk.py", role, ADDRESSES[1], TCP_PORT)
                transfer.append(subprocess.Popen(command))
        time.sleep(WARM_UP)
        started = network.start()
        pairs[0].outcome.measure(case.seconds or options.seconds, started, pairs[0].pids())
        link = network.stop()
        outcomes = [pair.finish() for pair in pairs]
        outcomes[0].link = link
        return outcomes[0]
    finally:
        for process in transfer:
            end(process)
        for pair in pairs:
            pair.close()
        network.close()


def circumstances(seconds: int, load: float) -> str:
    """What the figures depend on, in a sentence."""
    asked = subprocess.run(["chromium", "--version"], capture_output=True, text=True, check=False)
    chromium = next((word for word in asked.stdout.split() if word[:1].isdigit()), "of an unknown version")
    return (
        f"Calls of {seconds} s where the case names no other length, after {WARM_UP:.0f} s of warm-up; Chromium {chromium}; "
        f"{os.cpu_count()} cores, load {load:.1f} at the start."
    )


def main() -> int:
    """Runs the cases."""
    # Ending it from outside ends the calls and removes the namespaces as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser()
    parser.add_argument("--conclave", type=Path, required=True)
    parser.add_argument("--link", type=Path, required=True)
    parser.add_argument("--cases", default="")
    parser.add_argument("--products", default="Conclave Chromium")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("target/lab"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    wanted = options.cases.split()
    if unknown := set(wanted) - {case.name for case in CASES}:
        print(f"There is no case {', '.join(unknown)}; there are {', '.join(case.name for case in CASES)}.")
        return 2
    if options.write and not wanted and table.BEGIN not in options.write.read_text():
        print(f"{options.write} lacks {table.BEGIN}: the table has no place there.")
        return 2
    cases = [case for case in CASES if not wanted or case.name in wanted]
    folder: Path = options.folder.absolute()
    media = clip.make(folder / "clip")
    shutil.rmtree(folder / "runs", ignore_errors=True)
    results: table.Results = {}
    failures: list[str] = []
    load = os.getloadavg()[0]
    began = time.time()
    for number, case in enumerate(cases, 1):
        for product in options.products.split():
            if product == "Chromium" and not case.chromium:
                continue
            minutes, seconds = divmod(int(time.time() - began), 60)
            print(f"[{minutes}:{seconds:02}] {number}/{len(cases)} {case.title}: {product}", flush=True)
            try:
                outcome = hold(case, product, options, media, folder / "runs" / f"{case.name}-{product.lower()}")
                found = figures.of(outcome, case, media)
            except Exception as error:  # one call that does not come about must not lose the others
                traceback.print_exc()
                failures.append(f"{case.title}, {product}: {type(error).__name__}, {error}".replace(f"{folder}/", ""))
                continue
            results.setdefault(case.name, {})[product] = found
            print("    " + "  ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
            (folder / "results.json").write_text(json.dumps(results, indent=1))
    text = f"{table.table(cases, results)}\n\n{circumstances(options.seconds, load)}"
    if failures:
        text += "\n\nNot measured:\n\n" + "\n".join(f"- {failure}" for failure in failures)
    print(f"\n{text}")
    if options.write and not wanted:
        table.write(options.write, text)
        print(f"\nWritten to {options.write}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

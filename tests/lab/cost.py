"""What a process and all its descendants cost: CPU time, and memory as PSS (shared pages counted once among their users)."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """`root` and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += children.get(process, [])
    return found


@dataclass
class Cost:
    """CPU seconds so far, user and system, and PSS in MB."""

    cpu: float
    memory: float


def cost(root: int) -> Cost:
    """Of the whole tree under `root`; processes that have ended count with their parent."""
    ticks, kilobytes = 0, 0
    for process in tree(root):
        folder = Path(f"/proc/{process}")
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            rollup = (folder / "smaps_rollup").read_text()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
        kilobytes += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return Cost(ticks / TICKS, kilobytes / 1024)

"""What a run of one case by one product came to, before anything is computed from it."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cost import cost
from seen import Seen


@dataclass
class Outcome:
    """Moments in seconds since 1970. `window` is what is measured: after the warm-up, to the end."""

    product: str
    window: tuple[float, float] = (0.0, 0.0)
    connect_ms: float | None = None
    first_picture_ms: float | None = None
    seen: Seen = field(default_factory=Seen)
    heard: Path | None = None
    link: dict[str, Any] = field(default_factory=dict)
    # Of sender and receiver, over the window: percent of one core, and MB of PSS at its end.
    cpu_percent: tuple[float, float] | None = None
    memory_mb: tuple[float, float] | None = None
    # Bytes of encoded pictures that were sent for the first time, from the first picture seen to the last.
    picture_bytes: float | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def measure(self, seconds: float, started: float, roots: tuple[int, int]) -> None:
        """Lets `seconds` from `started` pass and takes what the two process trees cost meanwhile."""
        before = [cost(root) for root in roots]
        begun = time.time()
        time.sleep(max(0.0, started + seconds - begun))
        after = [cost(root) for root in roots]
        self.window = (started, time.time())
        length = self.window[1] - begun
        used = [(late.cpu - early.cpu) / length * 100 for early, late in zip(before, after, strict=True)]
        self.cpu_percent = (used[0], used[1])
        self.memory_mb = (after[0].memory, after[1].memory)

"""What the receiver saw: when which picture came, and some of the pictures themselves.

Of every two seconds of the film the first eight pictures are kept, the same ones whoever sends them.
"""

import fcntl
import os
import select
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import clip
import stamp

KEEP_EVERY, KEEP = 60, 8


def is_kept(counter: int) -> bool:
    """Whether the picture with this number is kept for comparison."""
    return counter % KEEP_EVERY < KEEP


@dataclass
class Shown:
    """One picture as it came: its number, when it was captured and when it was there (seconds since 1970)."""

    counter: int
    captured: float | None
    shown: float


@dataclass
class Kept:
    """A picture kept for comparison: number, when it came, size, and its I420 bytes."""

    counter: int
    shown: float
    size: tuple[int, int]
    data: bytes


@dataclass
class Seen:
    """All of it."""

    pictures: list[Shown] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    unreadable: int = 0


class Eye(threading.Thread):
    """Reads the pictures that a call records, from a pipe, as they come: nothing of it touches the disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        os.mkfifo(path)
        # Open on both sides: no end of file while the call opens and closes it.
        self._pipe = os.open(path, os.O_RDWR)
        try:
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
        except OSError:
            pass
        self._over = threading.Event()
        self.seen = Seen()
        self.start()

    def run(self) -> None:
        """Reads until told to stop."""
        frame = bytearray(clip.PICTURE_BYTES)
        header = self._line()
        if header is None:
            return
        if f" W{stamp.WIDTH} H{stamp.HEIGHT} " not in header:
            self.seen.unreadable += 1
            return
        while self._line() is not None:
            shown = time.time()
            if not self._fill(frame):
                return
            luma = np.frombuffer(frame, np.uint8, stamp.WIDTH * stamp.HEIGHT).reshape(stamp.HEIGHT, stamp.WIDTH)
            read = stamp.read(luma)
            if read is None:
                self.seen.unreadable += 1
                continue
            counter, millis = read
            # The stamp holds 40 bits of milliseconds.
            whole = int(shown * 1000)
            captured = (whole & ~0xFFFFFFFFFF | millis) / 1000
            self.seen.pictures.append(Shown(counter, captured, shown))
            if is_kept(counter):
                size = (stamp.WIDTH, stamp.HEIGHT)
                self.seen.kept.append(Kept(counter, shown, size, bytes(frame)))

    def _ready(self) -> bool:
        while not self._over.is_set():
            if select.select([self._pipe], [], [], 0.2)[0]:
                return True
        return False

    def _line(self) -> str | None:
        line = b""
        while self._ready():
            line += os.read(self._pipe, 1)
            if line.endswith(b"\n"):
                return line.decode()
        return None

    def _fill(self, frame: bytearray) -> bool:
        view = memoryview(frame)
        while view:
            if not self._ready():
                return False
            view = view[os.readv(self._pipe, [view]) :]
        return True

    def stop(self) -> Seen:
        """Ends the reading."""
        self._over.set()
        self.join(5)
        os.close(self._pipe)
        return self.seen

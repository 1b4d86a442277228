"""Two network namespaces with the emulated link between them, and programs inside."""

import itertools
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

ADDRESSES = ("10.9.0.1", "10.9.0.2")
_numbers = itertools.count()


class LabError(Exception):
    """Something of the lab itself did not work."""


class Network:
    """Namespaces `ends[0]` (the sender's) and `ends[1]`; gone when closed, with what runs inside."""

    def __init__(self, program: Path, settings: list[str], seed: int = 1) -> None:
        number = next(_numbers)
        self.ends = [f"lab-{os.getpid()}-{number}-{side}" for side in "ab"]
        for name in self.ends:
            subprocess.run(["ip", "netns", "add", name], check=True)
            subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        places = [word for end, ip in zip(self.ends, ADDRESSES, strict=True) for word in (end, f"{ip}/24")]
        command = [str(program), *places, "--seed", str(seed), *settings]
        self.link = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("UP")

    def _expect(self, word: str) -> str:
        assert self.link.stdout
        ready, _, _ = select.select([self.link.stdout], [], [], 20)
        line = self.link.stdout.readline() if ready else ""
        if not line.startswith(word):
            raise LabError(f"the link said {line!r} instead of {word}")
        return line[len(word) :]

    def _tell(self, word: str) -> None:
        assert self.link.stdin
        self.link.stdin.write(word + "\n")
        self.link.stdin.flush()

    def start(self) -> float:
        """Schedule and statistics begin; gives the moment in seconds since 1970."""
        self._tell("start")
        self._expect("STARTED")
        return time.time()

    def stop(self) -> dict[str, Any]:
        """The link's statistics since the start. The link carries on."""
        self._tell("stop")
        return json.loads(self._expect("STATISTICS"))

    def command(self, end: int, *words: str | Path) -> list[str]:
        """A command line that runs `words` inside."""
        return ["ip", "netns", "exec", self.ends[end], *map(str, words)]

    def close(self) -> None:
        """Ends the link and removes the namespaces."""
        self.link.kill()
        self.link.wait()
        for name in self.ends:
            subprocess.run(["ip", "netns", "del", name], check=False)


def end(process: subprocess.Popen[Any] | None, patience: float = 8.0) -> None:
    """Asks a process to end; kills it if it does not."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

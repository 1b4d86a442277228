"""Two headless Conclaves: the first hosts with the relay inside it and sends film and speech; the second joins over the
emulated link, hears, sees and speaks."""

import json
import select
import subprocess
import time
from pathlib import Path
from typing import Any

from network import LabError, Network, end
from outcome import Outcome
from seen import Eye

PATIENCE = 40.0


class ConclavePair:
    """A call in `network`. With `look`, the receiver's pictures and sound are kept. To be closed, begun or not."""

    def __init__(self, program: Path, network: Network, folder: Path, look: bool) -> None:
        folder.mkdir(parents=True)
        self.program, self.network, self.folder = program, network, folder
        self.outcome = Outcome("Conclave")
        self.processes: list[subprocess.Popen[str]] = []
        self.eye = Eye(folder / "seen.y4m") if look else None

    def begin(self, media: tuple[Path, Path]) -> None:
        """Starts both; the second joins at once."""
        film, speech = media
        self._start(0, ["--name", "Ana", "--camera", film, "--mic", speech, "--admit-all"])
        guest: list[str | Path] = [self._invite(), "--name", "Ben", "--mic", speech]
        if self.eye:
            self.outcome.heard = self.folder / "heard.wav"
            guest += ["--record-video", self.folder / "seen.y4m", "--record-audio", self.outcome.heard]
        self._start(1, guest)

    def _start(self, side: int, arguments: list[str | Path]) -> None:
        config, report = self.folder / f"config{side}", self.folder / f"report{side}.json"
        always: list[str | Path] = ["--seconds", "3600", "--wait", "60", "--video", "1280x720@30", "--report", report]
        command = self.network.command(side, self.program, "--config", config, "call", *arguments, *always)
        log = (self.folder / f"log{side}.txt").open("w")
        process = subprocess.Popen(command, stdout=subprocess.PIPE if side == 0 else log, stderr=log, text=True)
        self.processes.append(process)

    def _invite(self) -> str:
        out = self.processes[0].stdout
        assert out
        if not select.select([out], [], [], PATIENCE)[0]:
            raise LabError("the host printed no invite")
        return out.readline().strip()

    def pids(self) -> tuple[int, int]:
        """Sender and receiver."""
        return self.processes[0].pid, self.processes[1].pid

    def wait_for_picture(self) -> None:
        """Until the receiver sees something, or says that somebody is there if nothing is kept."""
        log = self.folder / "log1.txt"
        until = time.time() + PATIENCE
        while time.time() < until:
            if self.eye and self.eye.seen.pictures:
                return
            if not self.eye and " is here." in log.read_text():
                time.sleep(0.5)
                return
            if any(process.poll() is not None for process in self.processes):
                break
            time.sleep(0.02)
        raise LabError(f"no picture came; see {self.folder}")

    def finish(self) -> Outcome:
        """Ends the call."""
        for process in reversed(self.processes):
            end(process)
        if self.eye:
            self.outcome.seen = self.eye.stop()
            self.eye = None
        sender, receiver = self._report(0), self._report(1)
        self.outcome.report = {"sender": sender, "receiver": receiver}
        self.outcome.connect_ms = receiver["connect_ms"]
        self.outcome.first_picture_ms = receiver["first_frame_ms"]
        self.outcome.picture_bytes = sender["sent"]["video_bytes"]
        return self.outcome

    def _report(self, side: int) -> dict[str, Any]:
        path = self.folder / f"report{side}.json"
        if not path.exists() or not path.stat().st_size:
            raise LabError(f"a call left no report; see {self.folder}")
        return json.loads(path.read_text())

    def close(self) -> None:
        """Ends what is left, whatever happened."""
        for process in self.processes:
            end(process)
        if self.eye:
            self.eye.stop()

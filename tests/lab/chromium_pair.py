"""Two headless Chromiums with the same film and speech: one page each, and this script as the signalling between them.

Driven over the DevTools protocol on a pair of pipes (`--remote-debugging-pipe`), which no network namespace hides.
"""

import fcntl
import itertools
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import Any

import seen
from network import LabError, Network, end
from outcome import Outcome

PATIENCE = 40.0
# The cap that both products have for 720p30.
MAX_BITRATE = 2_500_000
HERE = Path(__file__).parent
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-extensions --disable-default-apps --mute-audio
--disable-background-timer-throttling --disable-renderer-backgrounding --disable-backgrounding-occluded-windows
--autoplay-policy=no-user-gesture-required --use-fake-ui-for-media-stream --use-fake-device-for-media-stream
--disable-features=WebRtcHideLocalIpsWithMdns,MediaRouter,OptimizationHints --remote-debugging-pipe""".split()


class Browser:
    """One Chromium with one page. To be closed, opened or not."""

    def __init__(self, network: Network, side: int, media: tuple[Path, Path], folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.other: Browser | None = None
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        server = network.command(side, sys.executable, HERE / "page_server.py", HERE / "page.html", folder)
        self.server = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
        film, speech = media
        flags = [*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--use-file-for-fake-video-capture={film}"]
        flags.append(f"--use-file-for-fake-audio-capture={speech}")
        theirs_in, self._to = self._pipe()
        self._from, theirs_out = self._pipe()

        def as_three_and_four() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        log = (folder / "log.txt").open("w")
        self.process = subprocess.Popen(
            network.command(side, "chromium", *flags, "about:blank"),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=as_three_and_four,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.session: str | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def open(self) -> None:
        """Opens the page, with the binding that signals."""
        assert self.server.stdout
        if not select.select([self.server.stdout], [], [], PATIENCE)[0]:
            raise LabError("the page is not served")
        address = f"http://127.0.0.1:{self.server.stdout.readline().strip()}/"
        target = self.call("Target.createTarget", {"url": address})["targetId"]
        self.session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True}, page=False)["sessionId"]
        self.call("Runtime.enable")
        self.call("Runtime.addBinding", {"name": "signal"})
        until = time.time() + PATIENCE
        while self.evaluate("document.readyState === 'complete' && typeof lab") != "object":
            if time.time() > until:
                raise LabError("the page does not load")
            time.sleep(0.05)

    @staticmethod
    def _pipe() -> tuple[int, int]:
        """A pipe whose numbers are out of the way of 3 and 4."""
        ends = []
        for low in os.pipe():
            ends.append(fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 20))
            os.close(low)
        return ends[0], ends[1]

    def _read(self) -> None:
        rest = b""
        while chunk := os.read(self._from, 1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if message.get("method") == "Runtime.bindingCalled" and self.other:
                    self.other.send("Runtime.evaluate", {"expression": f"lab.receive({message['params']['payload']})"})
                elif waiting := self._answers.pop(message.get("id", 0), None):
                    waiting.put(message)

    def send(self, method: str, parameters: dict[str, Any], page: bool = True) -> queue.Queue[dict[str, Any]]:
        """Sends a command; the answer comes in the queue."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if page and self.session:
            message["sessionId"] = self.session
        answer: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers[number] = answer
        with self._lock:
            data = memoryview(json.dumps(message).encode() + b"\0")
            while data:
                data = data[os.write(self._to, data) :]
        return answer

    def call(self, method: str, parameters: dict[str, Any] | None = None, page: bool = True) -> dict[str, Any]:
        """A command and its result."""
        try:
            answer = self.send(method, parameters or {}, page).get(timeout=PATIENCE)
        except queue.Empty:
            raise LabError(f"Chromium did not answer {method}; see {self.folder}/log.txt") from None
        if "error" in answer:
            raise LabError(f"{method}: {answer['error']}")
        return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript in the page."""
        wanted = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", wanted)
        if "exceptionDetails" in result:
            raise LabError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def close(self) -> None:
        """Ends browser and server."""
        end(self.process)
        end(self.server)


class ChromiumPair:
    """A call in `network`. With `look`, the receiver's pictures and sound are kept. To be closed, begun or not."""

    def __init__(self, network: Network, folder: Path, look: bool) -> None:
        self.network, self.folder, self.look = network, folder, look
        self.outcome = Outcome("Chromium")
        self.browsers: list[Browser] = []

    def begin(self, media: tuple[Path, Path]) -> None:
        """Opens both with camera and microphone, and calls."""
        options = {"look": self.look, "keepEvery": seen.KEEP_EVERY, "keep": seen.KEEP}
        for side, name in enumerate("ab"):
            browser = Browser(self.network, side, media, self.folder / name)
            self.browsers.append(browser)
            browser.open()
            tracks = browser.evaluate(f"lab.prepare({json.dumps(options | {'sends': side == 0})})")
            (self.folder / name / "tracks.txt").write_text("\n".join(tracks) + "\n")
        self.browsers[0].other, self.browsers[1].other = self.browsers[1], self.browsers[0]
        self.browsers[0].evaluate(f"lab.offer({MAX_BITRATE})")

    def pids(self) -> tuple[int, int]:
        """Sender and receiver."""
        return self.browsers[0].process.pid, self.browsers[1].process.pid

    def wait_for_picture(self) -> None:
        """Until the receiver sees something."""
        until = time.time() + PATIENCE
        while not self.browsers[1].evaluate("lab.pictures.length"):
            if time.time() > until:
                raise LabError(f"no picture came; see {self.folder}")
            time.sleep(0.05)

    def finish(self) -> Outcome:
        """Takes what the pages kept."""
        sender, receiver = (browser.evaluate("lab.finish()") for browser in self.browsers)
        began = sender["log"]["began"]
        self.outcome.connect_ms = max(sender["log"]["connected"], receiver["log"]["connected"]) - began
        self.outcome.first_picture_ms = receiver["log"]["firstPicture"] - began
        self.outcome.report = {"sender": sender["stats"], "receiver": receiver["stats"]}
        self.outcome.picture_bytes = self._picture_bytes(sender["stats"], receiver["stats"])
        (self.folder / "statistics.json").write_text(json.dumps(self.outcome.report, indent=1))
        if self.look:
            self._read_pictures(sender["captured"], receiver["pictures"])
            self._read_sound(receiver["log"].get("soundRate"))
        return self.outcome

    @staticmethod
    def _picture_bytes(sender: list[dict[str, Any]], receiver: list[dict[str, Any]]) -> float:
        """Encoded pictures without what is sent again, and without the padding that Chromium probes with."""
        out = next(one for one in sender if one["type"] == "outbound-rtp" and one["kind"] == "video")
        into = next(one for one in receiver if one["type"] == "inbound-rtp" and one["kind"] == "video")
        # What came the first time, and what was lost then and sent again.
        return into["bytesReceived"] - into.get("retransmittedBytesReceived", 0) + out["retransmittedBytesSent"]

    def _read_pictures(self, captured: list[list[float]], pictures: list[list[float]]) -> None:
        by_counter: dict[int, list[float]] = {}
        for number, moment in captured:
            by_counter.setdefault(int(number), []).append(moment / 1000)
        found = self.outcome.seen
        for number, moment in pictures:
            if number < 0:
                found.unreadable += 1
                continue
            shown = moment / 1000
            before = [at for at in by_counter.get(int(number), []) if at <= shown]
            found.pictures.append(seen.Shown(int(number), max(before, default=None), shown))
        for path in sorted((self.folder / "b").glob("picture-*")):
            _, counter, at, width, height, form = path.name.split("-")
            size = (int(width), int(height))
            data = path.read_bytes()
            path.unlink()
            if form == "I420" and len(data) == size[0] * size[1] * 3 // 2:
                found.kept.append(seen.Kept(int(counter), int(at) / 1000, size, data))

    def _read_sound(self, rate: float | None) -> None:
        path = self.folder / "b" / "heard.pcm"
        if not rate or not path.exists():
            return
        self.outcome.heard = self.folder / "heard.wav"
        with wave.open(str(self.outcome.heard), "wb") as out:
            out.setparams((1, 2, int(rate), 0, "NONE", ""))
            out.writeframes(path.read_bytes())

    def close(self) -> None:
        """Ends what is left, whatever happened."""
        for browser in self.browsers:
            browser.close()

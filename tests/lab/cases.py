"""The cases: what the network does, and which figures are compared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure in the table: its name in figures.py, its words, and the goal in words."""

    figure: str
    words: str
    goal: str = ""
    digits: int = 0
    # Ratios make sense where zero is nothing: not for PESQ or decibels.
    ratio: bool = True


@dataclass(frozen=True)
class Case:
    """One case. `settings` are the emulated link's, for both directions; times are in seconds after the warm-up."""

    name: str
    title: str
    settings: str
    rows: tuple[Row, ...]
    rate: int | None = None
    seconds: int | None = None
    schedule: tuple[tuple[int, str], ...] = ()
    drop: tuple[int, int] | None = None
    look: bool = True
    chromium: bool = True
    pairs: int = 1
    tcp: bool = False


QUALITY = (
    Row("kbps", "carried by the link, kbit/s"),
    Row("picture_kbps", "pictures, from the first on, kbit/s"),
    Row("fps", "pictures a second", digits=1),
    Row("freezes", "freezes", "no more", ratio=False),
    Row("frozen_percent", "time frozen, %", "no more", 1, ratio=False),
    Row("vmaf", "VMAF", "no less", 1),
    Row("ssim", "SSIM", "no less", 4),
    Row("psnr", "PSNR, dB", digits=1, ratio=False),
    Row("pesq", "sound, PESQ", "no less", 2),
    Row("stoi", "sound, STOI", "no less", 3),
    Row("latency_p50", "latency, median, ms"),
    Row("latency_p95", "latency, 95th percentile, ms"),
)
NARROW = (
    Row("used_percent", "link used, %", "≥ 85 %"),
    Row("queue_p95", "queueing delay, 95th percentile, ms", "≤ 0.7×"),
    Row("starved_ms", "longest time without sound, ms", "never 1 s", ratio=False),
    *QUALITY,
)
CASES = (
    Case(
        "clean",
        "clean link, 720p30",
        "delay=1",
        (
            Row("latency_p50", "latency, median, ms", "≤ 0.7×"),
            Row("latency_p95", "latency, 95th percentile, ms", "≤ 0.7×"),
            Row("connect_ms", "connected after, ms"),
            Row("first_picture_ms", "link to first picture, ms", "≤ 0.8×"),
            *QUALITY[:-2],
        ),
    ),
    Case(
        "cost",
        "clean link, 720p30, nothing kept",
        "delay=1",
        (
            Row("cpu_both", "CPU of both ends, % of a core", "≤ 0.5×", 1),
            Row("cpu_sender", "CPU of the sender, %", digits=1),
            Row("cpu_receiver", "CPU of the receiver, %", digits=1),
            Row("memory_mb", "memory of a peer (PSS), MB", "≤ 0.4×"),
            Row("kbps", "carried by the link, kbit/s"),
        ),
        look=False,
    ),
    Case(
        "loss5",
        "5 % random loss, RTT 50 ms",
        "delay=25,loss=5",
        (*QUALITY, Row("first_picture_ms", "link to first picture, ms", "≤ 0.8×")),
    ),
    Case("loss10", "10 % random loss, RTT 50 ms", "delay=25,loss=10", QUALITY),
    Case("burst3", "3 % lost in bursts of four, RTT 50 ms", "delay=25,bad=0.773,good=25", QUALITY),
    Case("rate1000", "1 Mbit/s, 300 ms queue, RTT 40 ms", "delay=20,rate=1000,queue=300", NARROW, rate=1000),
    Case("rate300", "300 kbit/s, 300 ms queue, RTT 40 ms", "delay=20,rate=300,queue=300", NARROW, rate=300),
    Case(
        "drop",
        "2 → 0.3 → 2 Mbit/s, 30 s, 300 ms queue, RTT 40 ms",
        "delay=20,rate=2000,queue=300",
        (
            Row("recovery_s", "back to 90 % of the old rate after, s", "≤ 10 s"),
            Row("old_kbps", "rate before, kbit/s"),
            Row("low_kbps", "rate while narrow, kbit/s"),
            Row("queue_p95", "queueing delay, 95th percentile, ms", "≤ 0.7×"),
            Row("starved_ms", "longest time without sound, ms", "never 1 s", ratio=False),
            *QUALITY[3:6],
            Row("pesq", "sound, PESQ", "no less", 2),
        ),
        seconds=75,
        schedule=((15, "rate=300"), (45, "rate=2000")),
        drop=(15, 45),
    ),
    Case(
        "two",
        "two calls on 2 Mbit/s, 300 ms queue, RTT 40 ms",
        "delay=20,rate=2000,queue=300",
        (
            Row("jain", "Jain's index of the two", "≥ 0.9", 3),
            Row("least_share", "share of the smaller one, %"),
            Row("used_percent", "link used, %"),
            Row("queue_p95", "queueing delay, 95th percentile, ms"),
        ),
        rate=2000,
        seconds=40,
        look=False,
        chromium=False,
        pairs=2,
    ),
    Case(
        "tcp",
        "a call and one TCP transfer on 3 Mbit/s, 300 ms queue, RTT 40 ms",
        "delay=20,rate=3000,queue=300",
        (
            Row("jain", "Jain's index of the two", "≥ 0.9", 3),
            Row("udp_share", "share of the call, %"),
            Row("used_percent", "link used, %"),
        ),
        rate=3000,
        seconds=40,
        look=False,
        tcp=True,
    ),
)

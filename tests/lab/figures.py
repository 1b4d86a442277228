"""The figures of one run: freezes, frame rate, latency, rates, queueing, recovery and shares."""

from pathlib import Path
from typing import Any

import numpy as np

import quality
from cases import Case
from outcome import Outcome

INTERVAL, FREEZE = 1 / 30, 0.2
# Bytes of IP and UDP headers count: it is the link that is measured.
Figures = dict[str, float]


def of(outcome: Outcome, case: Case, media: tuple[Path, Path]) -> Figures:
    """All that can be said of this run."""
    found: Figures = {}
    for name in ("connect_ms", "first_picture_ms"):
        if (value := getattr(outcome, name)) is not None:
            found[name] = value
    if outcome.cpu_percent and outcome.memory_mb:
        found["cpu_sender"], found["cpu_receiver"] = outcome.cpu_percent
        found["cpu_both"] = sum(outcome.cpu_percent)
        found["memory_mb"] = max(outcome.memory_mb)
    found |= _of_link(outcome.link, case)
    if case.drop:
        found |= _recovery(outcome, *case.drop)
    if case.look:
        found |= _of_pictures(outcome)
        found |= quality.pictures(outcome.seen.kept, media[0], outcome.window)
        if outcome.heard and outcome.heard.exists():
            found |= quality.sound(outcome.heard, media[1], outcome.window[1] - outcome.window[0])
    return found


def _of_pictures(outcome: Outcome) -> Figures:
    begin, finish = outcome.window
    inside = [one for one in outcome.seen.pictures if begin <= one.shown <= finish]
    # The edges of the window count as pictures: nothing at all is one long freeze.
    moments = np.array([begin, *(one.shown for one in inside), finish])
    gaps = np.diff(moments)
    frozen = gaps[gaps > INTERVAL + FREEZE]
    found: Figures = {
        "fps": len(inside) / (finish - begin),
        "freezes": float(len(frozen)),
        "frozen_percent": float(frozen.sum() / (finish - begin) * 100),
        "unreadable": float(outcome.seen.unreadable),
    }
    if outcome.picture_bytes and outcome.seen.pictures:
        length = finish - outcome.seen.pictures[0].shown
        found["picture_kbps"] = outcome.picture_bytes * 8 / 1e3 / length
    late = [(one.shown - one.captured) * 1e3 for one in inside if one.captured]
    if late:
        found["latency_p50"], found["latency_p95"] = (float(np.percentile(late, part)) for part in (50, 95))
    return found


def _carried_kbps(way: dict[str, Any]) -> np.ndarray:
    """By second; the last one is not whole and left out."""
    return np.array(way["carried_bytes_by_second"][: int(way["seconds"])], float) * 8 / 1e3


def _recovery(outcome: Outcome, fall: int, rise: int) -> Figures:
    """Seconds from the return of the capacity until the old rate is back: nine tenths of the bytes, and half of the pictures
    (bytes that no picture comes of are no recovery), both over two seconds (a single burst of probing is none either)."""
    carried = _carried_kbps(outcome.link["ab"])
    moments = [one.shown - outcome.window[0] for one in outcome.seen.pictures]
    shown = np.histogram(moments, np.arange(len(carried) + 1))[0]
    old, old_shown = carried[5:fall].mean(), max(2.0, shown[5:fall].mean())
    enough = (_pairs(carried) >= 0.9 * old) & (_pairs(shown) >= 0.5 * old_shown)
    back = np.flatnonzero(enough[rise:])
    return {
        "old_kbps": float(old),
        "low_kbps": float(carried[fall + 3 : rise].mean()),
        # Not in the whole time: at least that long.
        "recovery_s": float(back[0] if len(back) else len(carried) - rise),
        "recovered": float(len(back) > 0),
    }


def _pairs(values: np.ndarray) -> np.ndarray:
    """The mean of each value and the next one."""
    return (values[:-1] + values[1:]) / 2


def _of_link(link: dict[str, Any], case: Case) -> Figures:
    way = link["ab"]
    carried = _carried_kbps(way)
    packets = max(1, way["packets"])
    found: Figures = {
        "kbps": float(carried.mean()) if len(carried) else 0.0,
        "queue_p95": way["queued_ms"]["p95"] or 0.0,
        "lost_percent": way["lost"] / packets * 100,
        "refused_percent": way["refused"] / packets * 100,
    }
    if case.rate:
        found["used_percent"] = found["kbps"] / case.rate * 100
    if case.name in ("two", "tcp"):
        found |= _shares(way)
    return found


def _shares(way: dict[str, Any]) -> Figures:
    """What each of two competitors got, and Jain's index: (Σx)² / (n Σx²)."""
    sums = {flow["flow"]: sum(flow["bytes_by_second"]) for flow in way["flows"]}
    first, second, *_ = [*sorted(sums.values(), reverse=True), 0, 0]
    total, squares = max(1, sum(sums.values())), max(1, first**2 + second**2)
    return {
        "jain": (first + second) ** 2 / (2 * squares),
        "udp_share": sum(size for name, size in sums.items() if name.startswith("udp")) / total * 100,
        "least_share": second / total * 100,
    }

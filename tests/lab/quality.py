"""Full-reference quality: VMAF, SSIM and PSNR of pictures, PESQ and STOI of sound."""

import json
import subprocess
import tempfile
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from pesq import NoUtterancesError, pesq
from pystoi import stoi
from scipy.signal import correlate, resample_poly

import clip
import stamp
from seen import Kept

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
# The strip is not part of the picture.
CROP = f"crop={stamp.WIDTH}:{stamp.TOP}:0:0"
PESQ_RATE, STOI_RATE = 16_000, 10_000
SEGMENT = 8


def _full_size(kept: Kept) -> bytes:
    """The picture at the film's size, enlarged as a window would."""
    if kept.size == (stamp.WIDTH, stamp.HEIGHT):
        return kept.data
    shape = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{kept.size[0]}x{kept.size[1]}", "-i", "-"]
    scale = ["-vf", f"scale={stamp.WIDTH}:{stamp.HEIGHT}:flags=bilinear", "-f", "rawvideo", "-"]
    return subprocess.run([FFMPEG, "-v", "error", *shape, *scale], input=kept.data, stdout=-1, check=True).stdout


def pictures(kept: list[Kept], film: Path, window: tuple[float, float]) -> dict[str, float]:
    """VMAF, SSIM and PSNR (dB, luma) of the kept pictures of the window against the same ones of the film."""
    chosen = [one for one in kept if window[0] <= one.shown <= window[1]]
    if not chosen:
        return {}
    originals = clip.pictures(film)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "ours").open("wb") as ours, (folder / "film").open("wb") as theirs:
            for one in chosen:
                ours.write(_full_size(one))
                theirs.write(originals[one.counter % clip.PICTURES].tobytes())
        command = [FFMPEG, "-v", "error"]
        for file in ("ours", "film"):
            command += ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-r", "30", "-s", f"{stamp.WIDTH}x{stamp.HEIGHT}"]
            command += ["-i", str(folder / file)]
        measure = f"libvmaf=feature=name=psnr|name=float_ssim:n_threads=2:log_fmt=json:log_path={folder}/log"
        command += ["-lavfi", f"[0]{CROP}[a];[1]{CROP}[b];[a][b]{measure}", "-f", "null", "-"]
        subprocess.run(command, check=True)
        pooled = json.loads((folder / "log").read_text())["pooled_metrics"]
    names = {"vmaf": "vmaf", "ssim": "float_ssim", "psnr": "psnr_y"}
    return {name: pooled[key]["mean"] for name, key in names.items()}


def _sound(path: Path) -> tuple[int, np.ndarray]:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64) / 32768
        return file.getframerate(), samples[:: file.getnchannels()]


def _at(rate: int, sound: np.ndarray, wanted: int) -> np.ndarray:
    factor = np.gcd(rate, wanted)
    return resample_poly(sound, wanted // factor, rate // factor)


def _fit(reference: np.ndarray, part: np.ndarray) -> int:
    """Where in `reference` `part` fits best, in samples."""
    return int(np.argmax(correlate(reference, part, "valid")))


def _place(looped: np.ndarray, part: np.ndarray, period: int) -> int:
    """The same in the first `period` samples: by loudness first, which codecs do not change, then by the wave."""
    step = PESQ_RATE // 200
    curves = []
    for one in (looped, part):
        power = np.square(one[: len(one) // step * step]).reshape(-1, step).mean(1)
        curve = np.log10(power + 1e-7)
        curves.append(curve - curve.mean())
    likeness = correlate(curves[0], curves[1], "valid")
    rough = int(np.argmax(likeness[: period // step + 1])) * step
    low = max(0, rough - 2 * step)
    return low + _fit(looped[low : rough + len(part) + 2 * step], part)


def _intelligibility(looped: np.ndarray, part: np.ndarray, place: int) -> list[float]:
    """STOI of each two seconds, laid against the speech anew: a jitter buffer may have moved them since the last."""
    scores = []
    length, slack = 2 * PESQ_RATE, PESQ_RATE * 3 // 10
    for begin in range(0, len(part) - length + 1, length):
        piece = part[begin : begin + length]
        low = max(0, place + begin - slack)
        near = looped[low : place + begin + length + slack]
        reference = near[_fit(near, piece) :][:length]
        spoken = np.abs(reference).reshape(-1, PESQ_RATE // 50).max(1) > 0.02
        # STOI wants 30 frames of speech at least.
        if spoken.mean() * 2 > 0.8:
            scores.append(float(stoi(*(_at(PESQ_RATE, one, STOI_RATE) for one in (reference, piece)), STOI_RATE)))
    return scores


def sound(heard: Path, speech: Path, seconds: float) -> dict[str, float]:
    """PESQ (wide band) and STOI of the last `seconds` that were heard, in pieces, each laid against the speech where it
    fits best; and the longest silence in ms that the speech does not have (`starved_ms`)."""
    rate, all_heard = _sound(heard)
    ours = _at(rate, all_heard[-int(seconds * rate) :], PESQ_RATE)
    spoken = _at(*_sound(speech), PESQ_RATE)
    looped = np.tile(spoken, 3)
    scores: dict[str, list[float]] = {"pesq": [], "stoi": []}
    size = SEGMENT * PESQ_RATE
    for begin in range(0, len(ours) - size + 1, size):
        part = ours[begin : begin + size]
        if not np.any(part):
            scores["pesq"].append(1.0)
            scores["stoi"].append(0.0)
            continue
        place = _place(looped, part, len(spoken))
        try:
            scores["pesq"].append(float(pesq(PESQ_RATE, looped[place : place + size], part, "wb")))
        except NoUtterancesError:
            scores["pesq"].append(1.0)
        scores["stoi"] += _intelligibility(looped, part, place)
    result = {name: float(np.mean(values)) for name, values in scores.items() if values}
    result["starved_ms"] = float(max(0.0, _silence(ours) - _silence(looped)))
    return result


def _silence(samples: np.ndarray) -> float:
    """Longest run of 20 ms blocks without sound, in ms."""
    size = PESQ_RATE // 50
    quiet = np.abs(samples[: len(samples) // size * size]).reshape(-1, size).max(1) < 0.002
    longest = run = 0
    for is_quiet in quiet:
        run = run + 1 if is_quiet else 0
        longest = max(longest, run)
    return longest * 20.0

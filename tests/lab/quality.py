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


def sound(heard: Path, speech: Path, seconds: float) -> dict[str, float]:
    """PESQ (wide band) and STOI of the last `seconds` that were heard, in pieces, each laid against the speech where it
    fits best; and the longest silence in ms that the speech does not have (`starved_ms`)."""
    rate, all_heard = _sound(heard)
    ours = _at(rate, all_heard[-int(seconds * rate) :], PESQ_RATE)
    spoken = _at(*_sound(speech), PESQ_RATE)
    looped = np.tile(spoken, 3)
    scores: dict[str, list[float]] = {"pesq": [], "stoi": []}
    piece = SEGMENT * PESQ_RATE
    for begin in range(0, len(ours) - piece + 1, piece):
        part = ours[begin : begin + piece]
        if not np.any(part):
            scores["pesq"].append(1.0)
            scores["stoi"].append(0.0)
            continue
        # The loudness of each 5 ms: robust against what codecs do to phase.
        step = PESQ_RATE // 200
        curves = [np.log10(np.square(one[: len(one) // step * step]).reshape(-1, step).mean(1) + 1e-7) for one in (looped, part)]
        likeness = correlate(curves[0] - curves[0].mean(), curves[1] - curves[1].mean(), "valid")
        rough = int(np.argmax(likeness[: len(spoken) // step + 1])) * step
        low = max(0, rough - 2 * step)
        near = looped[low : rough + piece + 2 * step]
        place = low + int(np.argmax(correlate(near, part, "valid")))
        reference = looped[place : place + piece]
        try:
            scores["pesq"].append(float(pesq(PESQ_RATE, reference, part, "wb")))
        except NoUtterancesError:
            scores["pesq"].append(1.0)
        down = [_at(PESQ_RATE, one, STOI_RATE) for one in (reference, part)]
        scores["stoi"].append(float(stoi(down[0], down[1], STOI_RATE)))
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

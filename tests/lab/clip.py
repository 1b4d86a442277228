"""The film and the speech that both products send, made once: a loop of ten seconds without a seam.

The film: somebody who moves in front of a textured wall, with grain, as a webcam sees it; every picture carries its number
(stamp.py). The speech: espeak-ng.
"""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from scipy.ndimage import gaussian_filter

import stamp

FPS, SECONDS = 30, 10
PICTURES = FPS * SECONDS
PICTURE_BYTES = stamp.WIDTH * stamp.HEIGHT * 3 // 2
SPEECH_RATE = 48_000
TEXT = (
    "The meeting begins at nine. Please bring the figures for the last quarter, and tell Hannah that the train is late. "
    "Four large boxes stood beside the garden wall, waiting for the rain to stop."
)


def texture(random: np.random.Generator, height: int, width: int, contrast: float) -> np.ndarray:
    """Structure on every scale, as walls, hair and clothes have it."""
    total = np.zeros((height, width))
    for sigma in (1, 2, 5, 12, 40):
        layer = gaussian_filter(random.standard_normal((height, width)), sigma, mode="wrap")
        total += layer / layer.std() * sigma**0.5
    return total / total.std() * contrast


def film(path: Path) -> None:
    """Writes the film as Y4M."""
    random = np.random.default_rng(4)
    height, width = stamp.HEIGHT, stamp.WIDTH
    wall = 150 + texture(random, height, width, 16)
    wall += np.linspace(-25, 25, width)[None, :]
    tint = texture(random, height // 2, width // 2, 5)
    face, cloth = texture(random, 800, 1700, 11), texture(random, 800, 1700, 20)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    grain = [random.standard_normal((height, width)).astype(np.float32) * 1.6 for _ in range(7)]
    partial = path.with_suffix(".part")
    with partial.open("wb") as out:
        out.write(f"YUV4MPEG2 W{width} H{height} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(PICTURES):
            phase = 2 * np.pi * number / PICTURES
            x = 640 + 70 * np.sin(2 * phase) + 12 * np.sin(9 * phase)
            y = 330 + 18 * np.sin(3 * phase) + 5 * np.sin(14 * phase)
            head = ((columns - x) / 130) ** 2 + ((rows - y) / 175) ** 2
            body = ((columns - x * 0.8 - 128) / 330) ** 2 + ((rows - y - 420) / 290) ** 2
            dx, dy = int(x) % 400, int(y) % 60
            picture = wall.copy()
            blend = np.clip((1.0 - body) * 25, 0, 1)
            coat = cloth[dy : dy + height, 400 - dx // 2 : 400 - dx // 2 + width]
            picture += blend * (70 + coat - picture)
            blend = np.clip((1.0 - head) * 25, 0, 1)
            skin = face[dy : dy + height, 100 - dx // 4 : 100 - dx // 4 + width]
            picture += blend * (175 + skin - 30 * np.minimum(head, 1) - picture)
            opening = 6 + 22 * abs(np.sin(11 * phase) * np.sin(5 * phase))
            mouth = ((columns - x) / 42) ** 2 + ((rows - y - 85) / opening) ** 2
            picture -= np.clip((1 - mouth) * 8, 0, 1) * 70
            for side in (-45, 45):
                eye = ((columns - x - side) / 20) ** 2 + ((rows - y + 35) / (2 + 9 * abs(np.cos(4 * phase)))) ** 2
                picture -= np.clip((1 - eye) * 6, 0, 1) * 90
            picture += grain[number % len(grain)]
            luma = np.clip(picture, 16, 235).astype(np.uint8)
            skin = np.clip((1.0 - head[::2, ::2]) * 25, 0, 1)
            coat = np.clip((1.0 - body[::2, ::2]) * 25, 0, 1) * (1 - skin)
            u = np.clip(128 + tint - 14 * skin + 20 * coat, 16, 240).astype(np.uint8)
            v = np.clip(128 - tint / 2 + 20 * skin - 10 * coat, 16, 240).astype(np.uint8)
            stamp.write(luma, u, v, number, 0)
            out.write(b"FRAME\n" + luma.tobytes() + u.tobytes() + v.tobytes())
    partial.rename(path)


def speech(path: Path) -> None:
    """Writes the speech as WAV: 48 kHz, 16 bit, mono, exactly as long as the film."""
    raw = path.with_suffix(".espeak.wav")
    subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "150", "-a", "140", "-w", raw, TEXT], check=True)
    partial = path.with_suffix(".part.wav")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", raw, "-ar", str(SPEECH_RATE), "-ac", "1"]
    command += ["-af", f"apad=whole_dur={SECONDS}", "-t", str(SECONDS), "-c:a", "pcm_s16le", "-bitexact", partial]
    subprocess.run(command, check=True)
    partial.rename(path)


def make(folder: Path) -> tuple[Path, Path]:
    """Film and speech in `folder`, made if they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "film-1.y4m", folder / "speech-1.wav"
    for path, maker in zip(paths, (film, speech), strict=True):
        if not path.exists():
            print(f"Making {path.name} …", flush=True)
            maker(path)
    return paths


def pictures(path: Path) -> np.ndarray:
    """The film's pictures, each as PICTURE_BYTES of I420 behind six bytes of `FRAME\\n`."""
    with path.open("rb") as file:
        begin = len(file.readline())
    return np.memmap(path, np.uint8, "r", begin).reshape(PICTURES, PICTURE_BYTES + 6)[:, 6:]

"""The strip with counter and time along the bottom of a picture, as src/media/stamp.rs defines it, for 1280×720."""

import numpy as np

WIDTH, HEIGHT = 1280, 720
BLOCK, BITS = 16, 72
LEVELS = (30, 118)
TOP = HEIGHT - BLOCK
LEFT = (WIDTH - BITS * BLOCK) // 2


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07, start 0xFF."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def write(y: np.ndarray, u: np.ndarray, v: np.ndarray, counter: int, millis: int) -> None:
    """Writes the strip into the planes of a picture."""
    value = ((counter & 0xFFFFFF) << 40 | millis & 0xFFFFFFFFFF).to_bytes(8, "big")
    bits = np.unpackbits(np.frombuffer(value + bytes([crc8(value)]), np.uint8))
    row = np.repeat(np.where(bits, LEVELS[1], LEVELS[0]).astype(np.uint8), BLOCK)
    y[TOP:, LEFT : LEFT + BITS * BLOCK] = row
    for plane in (u, v):
        plane[TOP // 2 :, LEFT // 2 : (LEFT + BITS * BLOCK) // 2] = 128


def read(y: np.ndarray) -> tuple[int, int] | None:
    """Counter and milliseconds in the luma plane of a 1280×720 picture, or None."""
    strip = y[TOP + 4 : TOP + 12, LEFT : LEFT + BITS * BLOCK].reshape(8, BITS, BLOCK)[:, :, 4:12]
    bits = strip.mean(axis=(0, 2)) > sum(LEVELS) / 2
    data = np.packbits(bits).tobytes()
    if crc8(data[:8]) != data[8]:
        return None
    value = int.from_bytes(data[:8], "big")
    return value >> 40, value & 0xFFFFFFFFFF

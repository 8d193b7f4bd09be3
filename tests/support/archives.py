"""WebDatasets as others make them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import soundfile
import webdataset


def audio_bytes(
    seconds: float, rate: int, file_format: str = "WAV", subtype: str | None = None, seed: int = 0
) -> bytes:
    """Return a file of a tone in noise."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    buffer = io.BytesIO()
    wave = 0.2 * np.sin(2 * np.pi * 220 * time) + 0.01 * noise
    soundfile.write(buffer, wave, rate, format=file_format, subtype=subtype)
    return buffer.getvalue()


def json_bytes(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode()


def codes_bytes(codes: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, codes)
    return buffer.getvalue()


def write_tar(path: Path, *clips: dict[str, object]) -> Path:
    """Write clips, `{"__key__": ..., suffix: bytes}`, with webdataset's own writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path), encoder=False) as tar:
        for clip in clips:
            tar.write(clip)
    return path


def said(key: str, text: str = "Hello there.", seconds: float = 0.5, **members: bytes) -> dict:
    """Return a clip of 16 kHz WAV with a plain transcript."""
    return {"__key__": key, "wav": audio_bytes(seconds, 16_000), "txt": text.encode(), **members}

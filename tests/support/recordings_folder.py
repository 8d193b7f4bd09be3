"""A folder of recordings, some of which cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE

TONE = (0.2 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype("float32")


def write_recordings(root: Path) -> Path:
    """LANGUAGE/SPEAKER/NAME with a stereo file, a missing transcript and a damaged file."""
    for name in ("en/ann/one", "en/ann/two", "zh/bo/one", "zh/bo/damaged"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(f"text of {name}")
        save_wave(path.with_suffix(".wav"), TONE, SAMPLE_RATE)
    stereo = np.random.default_rng(0).uniform(-0.1, 0.1, (44_100, 2))
    soundfile.write(root / "en/ann/two.wav", stereo, 44_100)
    (root / "en/ann/two.txt").unlink()
    (root / "zh/bo/damaged.wav").write_bytes(b"RIFF")
    soundfile.write(root / "zh/bo/one.wav", stereo, 44_100)
    return root

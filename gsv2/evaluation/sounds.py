"""Sounds and their spectrograms, as data URIs that a page carries."""

from __future__ import annotations

import io
from base64 import b64encode

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from gsv2.audio.picture import PICTURE_RANGE_DB, picture_levels
from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE


def draw_spectrogram(wave: NDArray[np.float32], loudest: NDArray[np.float32] | None = None) -> str:
    """Draw the log-mel spectrogram of [N] at the corpus' sample rate.

    Args:
        wave: [N] float32.
        loudest: a wave whose peak is white, so that two pictures share one scale; `wave` itself
            by default.

    Returns:
        A PNG as a data URI: time to the right, 0..16 kHz on the mel scale upwards.
    """
    from matplotlib.image import imsave  # half a second, which an evaluation's other ranks save

    level_db = picture_levels(torch.from_numpy(wave))
    peak_db = (level_db if loudest is None else picture_levels(torch.from_numpy(loudest))).max()
    buffer = io.BytesIO()
    imsave(
        buffer,
        level_db,
        vmin=peak_db - PICTURE_RANGE_DB,
        vmax=peak_db,
        cmap="magma",
        origin="lower",
        format="png",
    )
    return _data_uri(buffer.getvalue(), "image/png")


def embed_audio(wave: NDArray[np.float32]) -> str:
    """Return [N] at the corpus' sample rate as a data URI of a FLAC file."""
    buffer = io.BytesIO()
    save_wave(buffer, wave, SAMPLE_RATE)
    return _data_uri(buffer.getvalue(), "audio/flac")


def embed_speech(wave: NDArray[np.float32]) -> str:
    """Return [N] at the corpus' sample rate as a data URI of an MP3, a tenth of a FLAC's size."""
    buffer = io.BytesIO()
    samples = np.clip(wave, -1, 1)
    soundfile.write(buffer, samples, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return _data_uri(buffer.getvalue(), "audio/mpeg")


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"

"""Voice conversion: what a recording says, in the voice of others, by way of its codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gsv2.audio.level import apply_level, measure_level
from gsv2.audio.marking import save_marked
from gsv2.audio.silence import cut_at_quiet
from gsv2.audio.wave import WaveError, load_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.bundle_description import BundleError, read_bundle_description
from gsv2.inference.encoder_folders import AS_IN_TRAINING, EncoderFolders
from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.references import Reference
from gsv2.inference.speech import Speech, level_speech
from gsv2.inference.speech_file import SpeechFileError, VoiceRecordings, check_output
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.voice_sources import load_voices

MAX_PIECE_SEC = 20.0
"""Longer recordings are cut at quiet places, so that a piece stays as long as clips in training."""


def convert_recording(
    bundle: Path,
    recording: Path,
    out: Path,
    voice: VoiceRecordings,
    *,
    encoders: EncoderFolders = AS_IN_TRAINING,
) -> float:
    """Write a recording in another voice; all that can be refused is before a model is loaded.

    Args:
        bundle: bundle with a quantizer.
        recording: audio of any rate, number of channels and length.
        out: audio file to write, as long as the recording.
        voice: recordings of the voice, or voice files; transcripts are not needed.
        encoders: folders of the bundle's pretrained encoders, if they have moved.

    Returns:
        The length in seconds.

    Raises:
        ValueError: the bundle, a recording, a weight or `out` cannot be used.
    """
    check_output(out, [recording, *voice.files])
    if read_bundle_description(bundle).quantizer is None:
        raise BundleError(
            f"{bundle} has no quantizer, which makes codes of a recording: its waveform model "
            "reads text itself"
        )
    wave = _load(recording)
    references = load_voices(*voice)
    converted = convert(Synthesizer.from_bundle(bundle, encoders=encoders), wave, references)
    try:
        save_marked(out, converted, SAMPLE_RATE)
    except OSError as error:
        raise SpeechFileError(f"{out} cannot be written: {error.strerror or error}") from error
    return len(converted) / SAMPLE_RATE


def convert(
    synthesizer: Synthesizer,
    wave: np.ndarray,
    references: Sequence[Reference | EnrolledReference],
) -> np.ndarray:
    """Return what a recording says, in the voice of references.

    Args:
        synthesizer: synthesizer of a bundle.
        wave: [N] at 32 kHz, loudness-normalised.
        references: recordings of the voice, or voices that were enrolled; at least one.

    Returns:
        [N] float32 at 32 kHz, at the loudness of corpora: the same words at the same times.
    """
    config = synthesizer.vits2.config
    code_samples = config.frames_per_code * config.mel.hop_length
    padded = np.pad(wave, (0, -len(wave) % code_samples))  # codes cover whole frames
    voice = synthesizer.voice(synthesizer.enroll(references))
    pieces = cut_at_quiet(padded, code_samples, int(MAX_PIECE_SEC * SAMPLE_RATE / code_samples))
    spoken = [synthesizer.decode(synthesizer.encode(piece), voice) for piece in pieces]
    whole = np.concatenate(spoken)[: len(wave)]
    return level_speech(Speech(whole, SAMPLE_RATE, True)).wave


def _load(recording: Path) -> np.ndarray:
    """Return a recording [N] at 32 kHz and the loudness of corpora."""
    wave = load_wave(recording, SAMPLE_RATE)
    try:
        return apply_level(wave, measure_level(wave, SAMPLE_RATE))
    except WaveError as error:
        raise SpeechFileError(f"recording {recording} {error.reason}") from error

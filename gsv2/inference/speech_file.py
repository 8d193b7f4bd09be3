"""Speech files: all that can be refused is refused before a model is loaded."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from gsv2.audio.encoding import EncodedFormat
from gsv2.audio.marking import save_marked
from gsv2.audio.wave import save_wave
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.open_synthesizer import PLAIN, BundleOptions, open_synthesizer
from gsv2.inference.references import Reference, VoiceError
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentences import plan_sentences
from gsv2.inference.speech import Speech
from gsv2.inference.spoken_times import check_suffix, write_times
from gsv2.inference.voice_sources import load_voices

_SEED_BITS = 63
"""Seeds of torch lie within plus and minus two to this power."""
_PROBE_SEC = 0.1
"""Silence that shows whether a format can be written."""


class SpeechFileError(ValueError):
    """A request for a speech file that cannot be met; the message names what is wrong."""


class VoiceRecordings(NamedTuple):
    """Recordings and voice files, as `load_voices` takes them."""

    files: Sequence[Path]
    transcripts: Sequence[str] = ()
    """One for each recording, or none at all."""
    weights: Sequence[float] = ()
    """One for each of `files`, or none at all for equal ones."""


class SpeechFiles(NamedTuple):
    """What is written."""

    wave: Path
    """Audio file; its suffix selects the format."""
    times: Path | None = None
    """File with the times of words and characters, .TextGrid or .json; None = none is."""
    is_marked: bool = True
    """Whether the audio file says that it is synthetic."""
    audio_format: EncodedFormat = "wav"
    """Format of a stream to the standard output; a file's suffix says its own."""


def write_speech(
    bundle: Path,
    text: str,
    files: SpeechFiles,
    voice: VoiceRecordings,
    sampling: SamplingConfig | None = None,
    options: BundleOptions = PLAIN,
) -> Speech:
    """Speak a text in the voice of recordings, into a file.

    Args:
        text: any language and script.
        sampling: how codes are drawn; same seed, same speech. None = the defaults.
        options: how the bundle is loaded.

    Returns:
        What was written.

    Raises:
        ValueError: the bundle, the text, a recording, a weight, the seed or `out` cannot be used.
    """
    out, times, sampling = files.wave, files.times, sampling or SamplingConfig()
    save = save_marked if files.is_marked else save_wave
    check_output(out, voice.files)
    references = check_request(bundle, text, voice, sampling, times)
    synthesizer = open_synthesizer(bundle, options=options)
    speech = synthesizer.synthesize(text, references, seed=sampling.seed, sampling=sampling)
    try:
        save(out, speech.wave, speech.sample_rate)
    except OSError as error:
        raise SpeechFileError(f"{out} cannot be written: {error.strerror or error}") from error
    if times is not None:
        write_known_times(speech, times)
    return speech


def check_request(
    bundle: Path,
    text: str,
    voice: VoiceRecordings,
    sampling: SamplingConfig,
    times: Path | None,
) -> list[Reference | EnrolledReference]:
    """Return the references of a voice, if all that was asked can be spoken.

    Raises:
        ValueError: the bundle, the text, a recording, a weight, the seed or `times` cannot be used.
    """
    plan_sentences(text)
    check_seed(sampling.seed)
    if times is not None:
        check_suffix(times)
    read_bundle_description(bundle)
    return load_voices(*voice)


def write_known_times(speech: Speech, file: Path) -> None:
    """Write the times of a speech.

    Raises:
        SpeechFileError: nobody knows them.
    """
    if speech.times is None:
        raise SpeechFileError(
            f"{file} cannot be written: the bundle has no aligner, so that nobody knows when "
            "words are spoken; export it with the aligner's run"
        )
    write_times(speech.times, file)


def check_seed(seed: int) -> None:
    """Check that torch takes a seed.

    Raises:
        SpeechFileError: it does not.
    """
    if not -(2**_SEED_BITS) <= seed < 2**_SEED_BITS:
        raise SpeechFileError(
            f"seed must be -2**{_SEED_BITS} to 2**{_SEED_BITS} - 1, but is {seed}"
        )


def check_output(out: Path, references: Sequence[Path] = ()) -> None:
    """Check that a speech file can be written, without writing it.

    Raises:
        SpeechFileError: no such folder, no right to write, a format that cannot hold the speech,
            or a recording that would be overwritten.
        VoiceError: a recording does not exist.
    """
    if out.is_dir():
        raise SpeechFileError(f"{out} must be a file to write, but is a folder")
    if not out.parent.is_dir():
        raise SpeechFileError(f"{out} cannot be written: {out.parent} is no folder")
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise SpeechFileError(f"{out} cannot be written: no right to write there")
    for reference in references:
        if not reference.is_file():
            is_there = "is no file" if reference.exists() else "does not exist"
            raise VoiceError(f"reference {reference} {is_there}")
        if out.exists() and out.samefile(reference):
            raise SpeechFileError(f"{out} is a reference recording, which would be overwritten")
    _check_format(out)


def _check_format(out: Path) -> None:
    """Write silence in the format of `out` into memory, and throw it away."""
    probe = io.BytesIO()
    silence = np.zeros(round(_PROBE_SEC * SAMPLE_RATE), dtype=np.float32)
    kind = out.suffix.removeprefix(".").upper()
    if kind not in soundfile.available_formats() or kind == "RAW":
        raise SpeechFileError(
            f"{out} must end in the suffix of an audio format, e.g. .wav or .flac"
        )
    try:
        soundfile.write(probe, silence, SAMPLE_RATE, format=kind)
    except (soundfile.SoundFileError, ValueError) as error:
        raise SpeechFileError(f"{out}: {kind} cannot hold {SAMPLE_RATE} Hz: {error}") from error

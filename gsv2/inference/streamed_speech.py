"""Streamed speech: written while it is spoken, to a file or to the standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from gsv2.audio.encoding import EncodedFormat, StreamEncoder
from gsv2.audio.marking import MARK, writing_speech
from gsv2.audio.watermark import WatermarkStream
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.inference.open_synthesizer import PLAIN, BundleOptions, open_synthesizer
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech import Speech, join_pieces
from gsv2.inference.speech_file import (
    SpeechFileError,
    SpeechFiles,
    VoiceRecordings,
    check_output,
    check_request,
    write_known_times,
)

STANDARD_OUTPUT = Path("-")
"""Name of the standard output, where a file could be named."""


def stream_speech(
    bundle: Path,
    text: str,
    files: SpeechFiles,
    voice: VoiceRecordings,
    sampling: SamplingConfig,
    options: BundleOptions = PLAIN,
) -> Speech:
    """Speak a text in the voice of recordings; what is spoken is written at once.

    Args:
        text: any language and script.
        files: files as of `write_speech`; the wave may go to `STANDARD_OUTPUT`.
        sampling: how codes are drawn; with one candidate sound comes before its sentence has ended.
        options: how the bundle is loaded.

    Returns:
        What was written.

    Raises:
        ValueError: as `write_speech`.
    """
    out, times = files.wave, files.times
    if out != STANDARD_OUTPUT:
        check_output(out, voice.files)
    references = check_request(bundle, text, voice, sampling, times)
    synthesizer = open_synthesizer(bundle, options=options)
    pieces = []
    try:
        with _writing(files) as write:
            for piece in synthesizer.stream(
                text, references, seed=sampling.seed, sampling=sampling
            ):
                write(piece.wave)
                pieces.append(piece)
    except OSError as error:
        raise SpeechFileError(f"{out} cannot be written: {error.strerror or error}") from error
    speech = join_pieces(pieces)
    if times is not None:
        write_known_times(speech, times)
    return speech


def _writing(files: SpeechFiles) -> AbstractContextManager[Callable[[np.ndarray], None]]:
    if files.wave != STANDARD_OUTPUT:
        return writing_speech(files.wave, SAMPLE_RATE, is_marked=files.is_marked)
    return _encoding(files.audio_format, is_marked=files.is_marked)


@contextmanager
def _encoding(
    audio_format: EncodedFormat, *, is_marked: bool
) -> Iterator[Callable[[np.ndarray], None]]:
    """Give what writes waves to the standard output, encoded, as soon as they come."""
    encoder = StreamEncoder(audio_format, SAMPLE_RATE, {"comment": MARK} if is_marked else {})
    watermark = WatermarkStream() if is_marked else None

    def write(wave: np.ndarray, *, is_last: bool = False) -> None:
        wave = wave if watermark is None else watermark.push(wave, is_last=is_last)
        sys.stdout.buffer.write(encoder.encode(wave))
        sys.stdout.buffer.flush()

    yield write
    write(np.zeros(0, dtype=np.float32), is_last=True)
    sys.stdout.buffer.write(encoder.finish())
    sys.stdout.buffer.flush()

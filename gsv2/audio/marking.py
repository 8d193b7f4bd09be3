"""Marks of synthetic speech: a comment in its file, and a watermark in its sound.

The comment can be shown by players and platforms; the watermark is there where its extra is
installed (`gsv2.audio.watermark`). They tell honest people what they hear, and are no proof:
whoever re-encodes a file can leave the comment out.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from gsv2.audio.media import HEAD_BYTES, media_kind
from gsv2.audio.watermark import (
    FOUND,
    WATERMARK_RATE,
    WatermarkStream,
    is_watermarking,
    score_watermark,
)
from gsv2.audio.wave import PCM_FORMATS, load_wave
from gsv2.files import named_errors
from gsv2.version import __version__

MARK = f"Synthetic speech, made by gsv2 {__version__}"
"""Comment of every file that holds speech of ours."""
_MARK = re.compile(r"Synthetic speech, made by gsv2 \S+")


class MarkError(ValueError):
    """A file whose mark cannot be read; the message names it."""


def save_marked(path: Path, wave: np.ndarray, sample_rate: int) -> None:
    """Write [N] float32 as mono audio with its marks; the suffix selects the format.

    Raises:
        OSError: the disk does not take it; names the file.
    """
    with writing_speech(path, sample_rate, is_marked=True) as write:
        write(wave)


@contextmanager
def writing_speech(
    path: Path, sample_rate: int, *, is_marked: bool
) -> Iterator[Callable[[np.ndarray], None]]:
    """Open a file of mono audio; gives what writes the next wave [N] float32 to it at once.

    Args:
        path: file, whose suffix selects the format.
        sample_rate: rate in Hz; with marks that of speech, `WATERMARK_RATE`.
        is_marked: whether it has the marks.

    Raises:
        OSError: the disk does not take it; names the file.
    """
    watermark = WatermarkStream() if is_marked else None
    file_format = path.suffix.removeprefix(".").upper()
    subtype = "PCM_16" if file_format in PCM_FORMATS else None
    with (
        named_errors(path, soundfile.SoundFileError),
        soundfile.SoundFile(path, "w", sample_rate, 1, subtype, format=file_format) as file,
    ):
        if is_marked:
            file.comment = MARK

        def write(wave: np.ndarray, *, is_last: bool = False) -> None:
            wave = wave if watermark is None else watermark.push(wave, is_last=is_last)
            file.write(np.clip(wave, -1.0, 1.0))
            file.flush()

        yield write
        write(np.zeros(0, dtype=np.float32), is_last=True)


def read_marks(path: Path) -> list[str]:
    """Return the marks of a file: its comment, and the watermark where the extra is installed.

    Raises:
        MarkError: it does not exist, or cannot be read as audio.
    """
    comment = read_mark(path)
    found = [] if comment is None else [comment]
    if not is_watermarking():
        return found
    try:
        score = score_watermark(load_wave(path, WATERMARK_RATE))
    except ValueError as error:
        raise MarkError(str(error)) from error
    return [*found, f"watermark of Perth ({score:.2f})"] if score >= FOUND else found


def read_mark(path: Path) -> str | None:
    """Return the comment that marks a file; None if it has none.

    Raises:
        MarkError: it does not exist, or cannot be read as audio.
    """
    if not path.is_file():
        raise MarkError(f"{path} does not exist")
    content = path.read_bytes()
    try:
        texts = _by_ffmpeg(content) if find_spec("av") else _by_libsndfile(path, content)
    except (ValueError, OSError, RuntimeError) as error:
        raise MarkError(f"{path} cannot be read as audio: {error}") from error
    found = [match for text in texts if (match := _MARK.search(text))]
    return found[0][0] if found else None


def _by_ffmpeg(content: bytes) -> list[str]:
    import av

    with av.open(io.BytesIO(content)) as container:
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
        return [str(value) for tag in tags for value in tag.values()]


def _by_libsndfile(path: Path, content: bytes) -> list[str]:
    if (kind := media_kind(content[:HEAD_BYTES])) is not None:
        raise MarkError(f"it is {kind}: pip install 'gsv2[media]'")
    with soundfile.SoundFile(path) as file:
        return [file.comment or ""]

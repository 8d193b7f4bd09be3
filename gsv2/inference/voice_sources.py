"""Sources of voices: recordings and voice files, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gsv2.inference.enrollment import EnrolledReference
from gsv2.inference.references import Reference, check_shares, load_reference, match_texts
from gsv2.inference.voice_file import is_voice_file, load_voice


def load_voices(
    paths: Sequence[str | Path], texts: Sequence[str] = (), weights: Sequence[float] = ()
) -> list[Reference | EnrolledReference]:
    """Read recordings and voice files, of one voice or of voices to be fused.

    Args:
        paths: audio files and files `NAME.voice.safetensors`, at least one.
        texts: a transcript for each recording, in order, or none at all; voices hold theirs.
        weights: a weight for each path, or none at all for equal ones.

    Raises:
        VoiceError: the numbers do not match, all weights are 0, or as `load_voice` and
            `load_reference`.
        WaveError: as `load_reference`.
    """
    shares = check_shares(paths, weights)
    recordings = [path for path in paths if not is_voice_file(path)]
    transcripts = iter(match_texts(recordings, texts))
    found: list[Reference | EnrolledReference] = []
    for path, share in zip(paths, shares, strict=True):
        if is_voice_file(path):
            found += load_voice(path).weighted(share)
        else:
            found.append(load_reference(path, next(transcripts), share))
    return found

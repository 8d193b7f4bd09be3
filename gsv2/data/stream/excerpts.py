"""Excerpts of long clips: a few seconds of audio and codes, from another place in each epoch."""

from __future__ import annotations

import hashlib

from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.format import HOP_LENGTH


def cut_excerpt(clip: Clip, max_frames: int, seed: int, epoch: int) -> Clip:
    """Return a clip of at most `max_frames`, its audio and codes cut at the same times.

    The place is a pure function of key, seed and epoch, so that a run that goes on reads the same.

    Args:
        clip: whole clip with audio, without an alignment and without text vectors.
        max_frames: most 50 Hz frames; what it holds of whole code frames is taken, at least one.
        seed: seed of the run.
        epoch: epoch of the clip's mixture part.
    """
    assert clip.wave is not None, "excerpts are of audio"
    num_frames = len(clip.wave) // HOP_LENGTH
    if num_frames <= max_frames:
        return clip
    frames_per_code = 1 if clip.codes is None else max(1, round(num_frames / clip.codes.shape[1]))
    num_codes = num_frames if clip.codes is None else clip.codes.shape[1]
    length = max(1, max_frames // frames_per_code)
    digest = hashlib.blake2b(repr((seed, clip.key, epoch)).encode(), digest_size=8).digest()
    start = int.from_bytes(digest, "little") % max(1, num_codes - length + 1)
    samples = slice(*(HOP_LENGTH * frames_per_code * place for place in (start, start + length)))
    codes = None if clip.codes is None else clip.codes[:, start : start + length]
    return clip._replace(wave=clip.wave[samples], codes=codes)

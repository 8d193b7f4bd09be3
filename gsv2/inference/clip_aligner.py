"""Aligner of single clips as a stream reads them: for codes that nobody has aligned before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

from gsv2.data.corpus.decode import Clip, ClipError
from gsv2.inference.alignment import load_aligner
from gsv2.lru import LruCache
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import AlignmentError

_CPU = torch.device("cpu")
_KEPT_FRAMES = 1 << 22
"""Code frames whose alignments are kept for the next epoch, 46 hours at 25 Hz, at 2 bytes each."""


class ClipAligner:
    """Says which character is spoken at each code frame of a clip, as `gsv2 align` does.

    It can be pickled: every process loads the weights for itself, once, when they are needed. It
    computes on the CPU, in one thread, so that data workers do not take each other's cores, and
    remembers what it has found: a clip comes again in every epoch and validation.

    Args:
        source: run folder, checkpoint, bundle or file of the aligner.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self._aligner: Aligner | None = None
        self._known: LruCache[tuple[str, bytes], np.ndarray] = LruCache(_KEPT_FRAMES)

    def __reduce__(self) -> tuple[type[ClipAligner], tuple[Path]]:
        """Leave the weights and what was found behind."""
        return ClipAligner, (self.source,)

    def __call__(self, clip: Clip) -> np.ndarray:
        """Return the character [T] uint16 at each code frame of a clip with codes.

        Raises:
            ClipError: the text cannot be aligned; with the reason that `gsv2 align` gives.
            ValueError: the aligner is missing or damaged.
        """
        assert clip.codes is not None, "codes are read with what they are aligned for"
        key = clip.text, blake2b(clip.codes.tobytes(), digest_size=16).digest()
        known = self._known.get(key)
        if known is None:
            known = self._known.put(key, self._align(clip.codes, clip.text), clip.codes.shape[1])
        return known

    def _align(self, of_clip: np.ndarray, text: str) -> np.ndarray:
        if self._aligner is None:
            self._aligner = load_aligner(self.source, _CPU)
        codes = torch.from_numpy(of_clip.astype(np.int64))[None]  # [1, K, T]
        lengths = torch.tensor([codes.shape[2]])
        with _one_thread():
            (found,) = align_texts(self._aligner, codes, lengths, [text])
        if isinstance(found, AlignmentError):
            raise ClipError(str(found), "codes", "text cannot be aligned")
        return found.characters


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute in one thread for a while."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)

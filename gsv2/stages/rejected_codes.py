"""Rejected codes of clips: made from their own by what goes wrong in speaking, or given.

A GPT that speaks freely leaves spans out, says them again, or stops early. What is made of a clip
depends on the seed and its key alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import decode_codes
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import MappedReader

FAULTS = ("dropped", "repeated", "truncated")
"""What may happen to a span: it is missing, it is there twice, or the clip ends before it."""


class FaultMaker:
    """Makes rejected codes.

    Args:
        faults: names out of `FAULTS`; one is drawn for each clip.
        span_frames: fewest and most frames of a span.
        seed: seed of the draws.
    """

    def __init__(self, faults: tuple[str, ...], span_frames: tuple[int, int], seed: int) -> None:
        self._faults = faults
        self._span_frames = span_frames
        self._seed = seed

    def make(self, key: str, codes: Tensor) -> Tensor:
        """Return codes [K, T'] that differ from those [K, T] of a clip of at least one frame."""
        T = codes.shape[1]
        drawn = random.Random(f"{self._seed}/{key}")
        fault = drawn.choice(self._faults) if T > 1 else "repeated"
        size = min(drawn.randint(*self._span_frames), max(1, T - 1))
        start = drawn.randint(0, T - size)
        if fault == "truncated":
            return codes[:, : T - size]
        if fault == "dropped":
            return torch.cat([codes[:, :start], codes[:, start + size :]], dim=1)
        return torch.cat([codes[:, : start + size], codes[:, start:]], dim=1)


class GivenCodes:
    """Rejected codes in sidecars of corpora, as `gsv2.data.building.codes.write_codes` makes them.

    Args:
        sources: folder of a corpus -> folder of the sidecar with rejected codes of its clips.
        quantizer: hash of the quantizer that they must be of.

    Raises:
        ValueError: a corpus or sidecar cannot be read, or is of another quantizer.
    """

    def __init__(self, sources: Mapping[str, str], quantizer: str) -> None:
        opened = [SourceConfig(path=path, codes=codes) for path, codes in sources.items()]
        self._index = CorpusIndex.open(*opened)
        self._reader = MappedReader(self._index, ("codes",))
        if self._index.quantizer not in (None, quantizer):
            raise ValueError(
                f"model.rejected must hold codes of quantizer {quantizer}, but holds those of "
                f"{self._index.quantizer}"
            )

    def find(self, key: str) -> Tensor | None:
        """Return the rejected codes [K, T] int64 of a clip; None where there are none.

        Raises:
            ClipError: they are damaged.
        """
        row = self._rows.get(key)
        if row is None:
            return None
        codes = decode_codes(self._reader.read(row)["codes"])  # of another length than the audio
        return torch.from_numpy(codes.astype("int64"))

    @cached_property
    def _rows(self) -> dict[str, int]:
        frames = self._index.numbers("num_code_frames")
        return {self._index.key(int(row)): int(row) for row in (frames > 0).nonzero()[0]}


def stretch_alignments(alignments: Tensor, lengths: Tensor, wanted: Tensor) -> Tensor:
    """Return alignments that go through the same characters in other numbers of frames.

    Args:
        alignments: [C, T] int64 character spoken at each frame; anything at padding.
        lengths: [C] frames of each clip.
        wanted: [C] frames that it should have.

    Returns:
        [C, T'] int64, T' the most frames that are wanted, at least 1; anything at padding.
    """
    frames = torch.arange(max(1, int(wanted.max())), device=alignments.device)
    places = frames * lengths[:, None] // wanted.clamp(min=1)[:, None]
    last = (lengths - 1).clamp(min=0)[:, None]
    return alignments.gather(1, torch.minimum(places, last))

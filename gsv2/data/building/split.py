"""Split of a corpus into training, validation and test clips, by a hash of speaker or text.

A clip's part depends on the clip and the shares alone: a corpus that grows moves no clip, and a
larger share holds out the same clips and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

from gsv2.data.building.encode import ClipRecord

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Parts in the order of their folders' making; the first one holds most."""
SplitBy = Literal["speaker", "text"]
_HASH_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which clips are held out of training."""

    validation: float = 0.0
    """Share of speakers, or texts, whose clips validate."""
    test: float = 0.0
    """Share of speakers, or texts, whose clips test."""
    by: SplitBy = "speaker"
    """What the parts do not share; clips without a speaker are told apart by their texts."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise ValueError(
                "shares of validation and test must be 0 or more and below 1 together, but are "
                f"{self.validation} and {self.test}"
            )
        if self.by not in get_args(SplitBy):
            raise ValueError(f"a corpus is split by speaker or text, not by {self.by!r}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts that hold clips; the first alone where nothing is held out."""
        shares = {"train": 1.0, "validation": self.validation, "test": self.test}
        return tuple(part for part in PARTS if shares[part] > 0)

    def part_of(self, clip: ClipRecord) -> Part:
        """Return the part of a clip."""
        if self.by == "speaker" and clip.speaker:
            place = _place("speaker", clip.source, clip.speaker)
        else:
            place = _place("text", "".join(filter(str.isalnum, clip.text.casefold())))
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"


def _place(*names: str) -> float:
    """Return a number from 0 to 1, spread evenly over names."""
    known = "\0".join(names).encode(errors="surrogateescape")
    digest = blake2b(known, digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big") / 256**_HASH_BYTES

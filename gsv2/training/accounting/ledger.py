"""Ledger of the clips that a run has read, lane epoch by lane epoch, in a few numbers each.

A digest is the sum of the clips' hashes: independent of their order, so that any layout of ranks
gives the same, additive, so that every rank counts its own, and blind to nothing: a clip that is
read twice or never changes it. `gsv2.training.accounting.audit` compares it with the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from gsv2.data.plan.window import LanePosition
from gsv2.data.stream.batch import Batch

_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


class LaneEpoch(NamedTuple):
    """One pass of a lane over its share of a part of the mixture."""

    mixture_part: int
    lane: int
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Clips that were delivered, and clips that could not be read."""

    clips: int = 0
    digest: int = 0
    """Sum of `hash_key` over them, modulo 2 ** 128."""
    bad_clips: int = 0
    bad_digest: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            clips=self.clips + other.clips,
            digest=(self.digest + other.digest) % _MODULUS,
            bad_clips=self.bad_clips + other.bad_clips,
            bad_digest=(self.bad_digest + other.bad_digest) % _MODULUS,
        )

    @property
    def planned(self) -> tuple[int, int]:
        """Number and digest of all clips, delivered or not."""
        return self.clips + self.bad_clips, (self.digest + self.bad_digest) % _MODULUS


Ledger = dict[LaneEpoch, Tally]


def hash_key(key: str) -> int:
    """Return the 128 bits that stand for a clip."""
    digest = hashlib.blake2b(key.encode(), digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big")


def tally_keys(keys: Iterable[str]) -> Tally:
    """Return the tally of clips that were all delivered."""
    clips = digest = 0
    for key in keys:
        clips += 1
        digest += hash_key(key)
    return Tally(clips=clips, digest=digest % _MODULUS)


def tally_batch(batch: Batch) -> Ledger:
    """Return what one micro-batch delivered; of one with weight 0, only what it lacks."""
    good: dict[LaneEpoch, list[str]] = {}
    if batch.weight:
        for key, part, epoch in zip(batch.keys, batch.mixture_parts, batch.epochs, strict=True):
            good.setdefault(LaneEpoch(part, batch.lane, epoch), []).append(key)
    ledger = {place: tally_keys(keys) for place, keys in good.items()}
    for clip in batch.bad:
        lost = Tally(bad_clips=1, bad_digest=hash_key(clip.key))
        add_tallies(ledger, {LaneEpoch(clip.mixture_part, batch.lane, clip.epoch): lost})
    return ledger


def add_tallies(ledger: Ledger, more: Mapping[LaneEpoch, Tally]) -> None:
    """Add tallies to a ledger."""
    for place, tally in more.items():
        ledger[place] = ledger.get(place, Tally()) + tally


def pop_finished(ledger: Ledger, positions: Mapping[int, LanePosition]) -> Ledger:
    """Take the lane epochs to which nothing can be added any more out of a ledger.

    Args:
        ledger: ledger of all micro-batches up to some number.
        positions: latest of each lane among them. All windows before its own have been read, so
            what is below the epoch of its part of the mixture is complete.
    """
    epochs = {
        (lane, number): part.epoch
        for lane, position in positions.items()
        for number, part in enumerate(position.parts)
    }
    finished = {
        place: ledger[place]
        for place in sorted(ledger)
        if epochs.get((place.lane, place.mixture_part), 0) > place.epoch
    }
    for place in finished:
        del ledger[place]
    return finished


def ledger_to_plain(ledger: Mapping[LaneEpoch, Tally]) -> list[dict[str, Any]]:
    """Return one object a lane epoch for JSON, digests as 32 hexadecimal digits."""
    return [
        {
            "component": place.mixture_part,
            "lane": place.lane,
            "epoch": place.epoch,
            **asdict(tally),
            "digest": f"{tally.digest:032x}",
            "bad_digest": f"{tally.bad_digest:032x}",
        }
        for place, tally in sorted(ledger.items(), key=lambda item: item[0])
    ]


def ledger_from_plain(values: Sequence[Mapping[str, Any]]) -> Ledger:
    """Return the ledger that `ledger_to_plain` described."""
    return {
        LaneEpoch(value["component"], value["lane"], value["epoch"]): Tally(
            clips=value["clips"],
            digest=int(value["digest"], 16),
            bad_clips=value["bad_clips"],
            bad_digest=int(value["bad_digest"], 16),
        )
        for value in values
    }

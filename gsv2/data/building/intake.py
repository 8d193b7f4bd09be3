"""Intake of a corpus: which of the offered clips are accepted, and why others are not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path

from gsv2.data.building.checks import ClipChecks
from gsv2.data.building.encode import ClipRecord, EncodedClip, Rejected, ShardConfig, encode_clip
from gsv2.data.building.offered import RecordedClip, RejectedFile
from gsv2.data.building.spool import ClipSpool
from gsv2.data.building.text_rate import TextRates, count_letters
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.files import named_errors
from gsv2.text.language import LanguageError, canonical_language

Offered = ClipRecord | tuple[ClipRecord, EncodedClip] | Rejected
"""A clip to encode, one that is encoded, or one that cannot be."""


class Rejections:
    """Clips and files that are left out: counted, and named in `rejected.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.first = ""
        """The first clip, for a message where there is no other: file and value."""
        self._path = path

    def add(self, clip: Rejected) -> None:
        """Count and name one clip."""
        self.counts[clip.reason] += 1
        if not self.first and not clip.reason.startswith("left alone"):
            place = clip.file if isinstance(clip, RejectedFile) else clip.key
            self.first = f"; the first is {place}: {clip.reason}: {clip.value}"
        line = json.dumps(asdict(clip), ensure_ascii=False) + "\n"
        with named_errors(self._path), self._path.open("ab") as file:
            file.write(line.encode("utf-8", "backslashreplace"))


def accepted_clips(
    clips: Iterable[Offered],
    config: ShardConfig,
    rejections: Rejections,
    rates: TextRates | None = None,
    checks: ClipChecks | None = None,
    suspects: Rejections | None = None,
) -> Iterator[tuple[ClipRecord, EncodedClip]]:
    """Yield the clips that can be written, encoded; the others go to `rejections`.

    A key that was used before is rejected too. Suspects of `checks` that stay go to `suspects`.
    """
    seen: set[bytes] = set()  # of key hashes, about 60 bytes a clip
    for clip in clips:
        if isinstance(clip, Rejected):
            rejections.add(clip)
            continue
        encoded = clip if isinstance(clip, tuple) else encode_offered(clip, config)
        key = encoded.key if isinstance(encoded, Rejected) else encoded[0].key
        mark = blake2b(key.encode(errors="surrogateescape"), digest_size=12).digest()
        if not isinstance(encoded, Rejected) and rates is not None:
            encoded = _plausible(*encoded, rates)
        if not isinstance(encoded, Rejected) and checks is not None and mark not in seen:
            encoded = _looked_at(*encoded, checks, suspects)
        if isinstance(encoded, Rejected):
            rejections.add(encoded)
        elif mark in seen:
            rejections.add(Rejected(key=key, reason="key used twice"))
        else:
            seen.add(mark)
            if rates is not None:
                rates.add(encoded[0].language, _rate(*encoded))
            yield encoded


def leave_out_unlikely(spool: ClipSpool, rates: TextRates, rejections: Rejections) -> None:
    """Take the clips out of the spool whose texts are far from those of their language."""
    for language in spool.languages:
        for outlier in rates.outliers(language):
            head, _ = spool.drop(language, outlier.clip)
            row, _, file = json.loads(head)
            rejections.add(
                RejectedFile(
                    key=row["key"],
                    reason=outlier.reason,
                    file=file,
                    value=outlier.value,
                    measured=outlier.measured,
                    threshold=outlier.threshold,
                )
            )


def _looked_at(
    clip: ClipRecord, encoded: EncodedClip, checks: ClipChecks, suspects: Rejections | None
) -> tuple[ClipRecord, EncodedClip] | Rejected:
    """Return the clip, or why a check leaves it out."""
    found = checks.suspicions(clip, encoded)
    for check, why in found:
        if checks.rejects(check):
            return why
    if suspects is not None:
        for _, why in found:
            suspects.add(why)
    return clip, encoded


def _plausible(
    clip: ClipRecord, encoded: EncodedClip, rates: TextRates
) -> tuple[ClipRecord, EncodedClip] | Rejected:
    rate = _rate(clip, encoded)
    fault = rates.fault(rate)
    if fault is None:
        return clip, encoded
    return RejectedFile(
        key=clip.key,
        reason=fault[0],
        file=_file(clip),
        value=fault[1],
        measured=rate,
        threshold=rates.limit(rate),
    )


def _rate(clip: ClipRecord, encoded: EncodedClip) -> float:
    """Return letters a second."""
    return count_letters(clip.text) * SAMPLE_RATE / encoded.num_samples


def _file(clip: ClipRecord) -> str:
    return clip.file if isinstance(clip, RecordedClip) else ""


def encode_offered(
    clip: ClipRecord, config: ShardConfig
) -> tuple[ClipRecord, EncodedClip] | Rejected:
    """Return a clip with its canonical language and encoded, or why it is left out, by file."""
    file = _file(clip)
    try:
        clip = replace(clip, language=canonical_language(clip.language))
    except LanguageError as error:
        return RejectedFile(
            key=clip.key, reason="language is no BCP 47 tag", file=file, value=str(error)
        )
    encoded = encode_clip(clip, config)
    if isinstance(encoded, Rejected):
        return RejectedFile(
            key=clip.key,
            reason=encoded.reason,
            file=file,
            value=encoded.value or _found(clip),
            measured=encoded.measured,
            threshold=encoded.threshold,
        )
    return clip, encoded


def _found(clip: ClipRecord) -> str:
    """Return the values of a clip that most limits are about."""
    return f"{clip.wave.shape[-1] / SAMPLE_RATE:.3f} s, text {clip.text[:60]!r}"

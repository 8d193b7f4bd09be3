"""Intake of a corpus: which of the offered clips are accepted, and why others are not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from gsv2.data.building.checks import CheckConfig, ClipChecks, KnownClip
from gsv2.data.building.encode import ClipRecord, EncodedClip, Rejected, ShardConfig, encode_clip
from gsv2.data.building.offered import RecordedClip, RejectedFile
from gsv2.data.building.split import SplitConfig
from gsv2.data.building.spool import ClipSpool
from gsv2.data.building.text_rate import TextRateConfig, TextRates, count_letters
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.files import named_errors
from gsv2.text.language import LanguageError, canonical_language

Offered = ClipRecord | tuple[ClipRecord, EncodedClip] | Rejected
"""A clip to encode, one that is encoded, or one that cannot be."""


@dataclass(frozen=True, kw_only=True)
class IntakeConfig:
    """What is looked at in every clip before it is accepted, and where it goes."""

    text_rate: TextRateConfig | None = None
    """Which texts cannot be what is said; None: not checked."""
    checks: CheckConfig | None = None
    """Which clips are suspects, named in `suspects.jsonl` or left out; None: not checked."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Which clips are held out, each part a corpus of its own; by default none."""


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


class Intake:
    """Intake of one corpus, which keeps account of every clip that it is offered.

    Args:
        folder: gets `rejected.jsonl` and `suspects.jsonl`.
        shards: limits and loudness of clips.
        config: what is looked at.
    """

    def __init__(self, folder: Path, shards: ShardConfig, config: IntakeConfig) -> None:
        self.num_offered = 0
        self.rejections = Rejections(folder / "rejected.jsonl")
        self.suspects = Rejections(folder / "suspects.jsonl")
        """Clips that a check named, and that stay."""
        self._shards = shards
        self._seen: set[bytes] = set()  # of key hashes, about 60 bytes a clip
        self._rates = None if config.text_rate is None else TextRates(config.text_rate)
        self._checks = None if config.checks is None else ClipChecks(config.checks)

    def __enter__(self) -> Intake:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what the checks kept of the clips."""
        if self._checks is not None:
            self._checks.close()

    def know(self, clips: Iterable[KnownClip]) -> None:
        """Note the clips that the corpus has, so that new ones have keys and sounds of their own.

        Args:
            clips: those of its indexes.
        """
        for clip in clips:
            self._seen.add(_mark(clip.key))
            if self._checks is not None:
                self._checks.know(clip)

    def accepted(self, clips: Iterable[Offered]) -> Iterator[tuple[ClipRecord, EncodedClip]]:
        """Yield the clips that can be written, encoded; the others go to `rejections`.

        A key that was used before is rejected too.
        """
        for clip in clips:
            self.num_offered += 1
            if isinstance(clip, Rejected):
                self.rejections.add(clip)
                continue
            encoded = clip if isinstance(clip, tuple) else encode_offered(clip, self._shards)
            key = encoded.key if isinstance(encoded, Rejected) else encoded[0].key
            mark = _mark(key)
            if not isinstance(encoded, Rejected):
                encoded = self._looked_at(*encoded, is_new=mark not in self._seen)
            if isinstance(encoded, Rejected):
                self.rejections.add(encoded)
            elif mark in self._seen:
                self.rejections.add(Rejected(key=key, reason="key used twice"))
            else:
                self._seen.add(mark)
                if self._rates is not None:
                    self._rates.add(encoded[0].language, _rate(*encoded))
                yield encoded

    def leave_out_unlikely(self, spool: ClipSpool) -> None:
        """Take the clips out of the spool whose texts are far from those of their language."""
        if self._rates is None:
            return
        for language in spool.languages:
            for outlier in self._rates.outliers(language):
                row, _, file, *_ = json.loads(spool.drop(language, outlier.clip).head)
                self.rejections.add(
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
        self, clip: ClipRecord, encoded: EncodedClip, *, is_new: bool
    ) -> tuple[ClipRecord, EncodedClip] | Rejected:
        """Return the clip, or why it is left out; suspects that stay go to `suspects`."""
        if self._rates is not None and (fault := _text_fault(clip, encoded, self._rates)):
            return fault
        if self._checks is None or not is_new:
            return clip, encoded
        found = self._checks.suspicions(clip, encoded)
        for check, why in found:
            if self._checks.rejects(check):
                return why
        for _, why in found:
            self.suspects.add(why)
        return clip, encoded


def _mark(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogateescape"), digest_size=12).digest()


def _text_fault(clip: ClipRecord, encoded: EncodedClip, rates: TextRates) -> RejectedFile | None:
    """Return why the text cannot be what is said, if it cannot."""
    rate = _rate(clip, encoded)
    fault = rates.fault(rate)
    if fault is None:
        return None
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

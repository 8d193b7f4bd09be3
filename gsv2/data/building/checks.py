"""Checks of clips that can be used but should be looked at: narrow bandwidth, the same sound twice.

By default such a clip stays in the corpus and is named in `suspects.jsonl`, with what was measured
and the limit; a check that is told to reject names it in `rejected.jsonl` instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

from gsv2.data.building.encode import ClipRecord, EncodedClip
from gsv2.data.building.offered import RecordedClip, RejectedFile

Check = Literal["bandwidth", "duplicates"]
CHECKS: tuple[Check, ...] = get_args(Check)
"""Names of the checks."""


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What makes a clip a suspect, and which suspects are left out."""

    min_bandwidth_hz: float = 5500.0
    """Clips that hold no sound above it are suspects: telephone, or 8 kHz made 16 kHz."""
    reject: Collection[Check] = ()
    """Checks whose suspects are left out of the corpus."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if not 0 <= self.min_bandwidth_hz <= 16_000:
            raise ValueError(f"min_bandwidth_hz must be 0 to 16000, but is {self.min_bandwidth_hz}")
        for name in self.reject:
            if name not in CHECKS:
                raise ValueError(f"check must be one of {', '.join(CHECKS)}, but is {name!r}")


class ClipChecks:
    """Checks of the clips of one corpus, in their order; about 100 bytes of memory a clip."""

    def __init__(self, config: CheckConfig) -> None:
        self._config = config
        self._places: dict[int, int] = {}  # hash of the sound -> place of its key in the file
        self._keys = tempfile.TemporaryFile()

    def close(self) -> None:
        """Remove what was kept of the clips."""
        self._keys.close()

    def suspicions(
        self, clip: ClipRecord, encoded: EncodedClip
    ) -> list[tuple[Check, RejectedFile]]:
        """Return by which checks a clip is a suspect, and why."""
        file = clip.file if isinstance(clip, RecordedClip) else ""
        found: list[tuple[Check, RejectedFile]] = []
        limit, measured = self._config.min_bandwidth_hz, encoded.bandwidth_hz
        if measured is not None and measured < limit:
            narrow = RejectedFile(
                key=clip.key,
                reason="audio has no high frequencies",
                file=file,
                value=f"nothing above {measured:.0f} Hz; {limit:.0f} Hz are wanted",
                measured=measured,
                threshold=limit,
            )
            found.append(("bandwidth", narrow))
        if (first := self._same_sound(encoded)) is not None:
            what = f"it is that of {first}"
            twin = RejectedFile(key=clip.key, reason="sound of another clip", file=file, value=what)
            found.append(("duplicates", twin))
        return found

    def rejects(self, check: Check) -> bool:
        """Tell whether the suspects of a check are left out."""
        return check in self._config.reject

    def _same_sound(self, encoded: EncodedClip) -> str | None:
        """Return the key of the clip that had this sound first; None if this is the first."""
        mark = int.from_bytes(blake2b(encoded.audio, digest_size=8).digest(), "little")
        if mark not in self._places:
            self._places[mark] = self._keys.seek(0, 2)
            self._keys.write(f"{encoded.key}\n".encode(errors="surrogateescape"))
            return None
        self._keys.seek(self._places[mark])
        return self._keys.readline().decode(errors="surrogateescape").rstrip("\n")

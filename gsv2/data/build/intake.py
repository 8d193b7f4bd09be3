"""What of the offered clips gets into a corpus."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from gsv2.data.build.encode import ClipRecord, EncodedClip, Rejected, ShardConfig, encode_clip


class Rejections:
    """Clips that are left out: counted, and named in `rejected.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._path = path

    def add(self, clip: Rejected) -> None:
        """Count and name one clip."""
        self.counts[clip.reason] += 1
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(clip), ensure_ascii=False) + "\n")


def accepted_clips(
    clips: Iterable[ClipRecord | Rejected], config: ShardConfig, rejections: Rejections
) -> Iterator[tuple[ClipRecord, EncodedClip]]:
    """Yield the clips that can be written, encoded; the others go to `rejections`.

    A key that was used before is rejected too.
    """
    seen: set[bytes] = set()  # of key hashes, about 60 bytes a clip
    for clip in clips:
        if isinstance(clip, Rejected):
            rejections.add(clip)
            continue
        encoded = encode_clip(clip, config)
        mark = blake2b(clip.key.encode(), digest_size=12).digest()
        if isinstance(encoded, Rejected):
            rejections.add(encoded)
        elif mark in seen:
            rejections.add(Rejected(key=clip.key, reason="key used twice"))
        else:
            seen.add(mark)
            yield clip, encoded

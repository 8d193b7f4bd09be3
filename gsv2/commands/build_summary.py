"""Summary of a corpus that was built: its clips by language, what was left out, suspects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gsv2.data.corpus.manifest import Manifest, is_complete, read_manifest


def summary_lines(manifest: Manifest, out: Path) -> Iterator[str]:
    """Yield the lines that a build ends with.

    Args:
        manifest: manifest of the training clips.
        out: corpus folder, or where clips are held out that of the parts.
    """
    if "split" not in manifest.build:
        yield from _clip_lines(manifest, out)
    for part in manifest.build.get("split", {"clips": {}})["clips"]:
        if is_complete(out / part):
            yield from _clip_lines(read_manifest(out / part), out / part)
    folder = out / "train" if "split" in manifest.build else out
    for reason, count in manifest.rejected.items():
        is_named = reason.startswith("left alone")
        yield f"  {count} {reason}" if is_named else f"  rejected {count}: {reason}"
    for reason, count in manifest.build["suspects"].items():
        yield f"  suspect {count}: {reason}; named in {folder / 'suspects.jsonl'}"
    if trimmed_sec := manifest.build["trimmed_sec"]:
        yield f"  {trimmed_sec:.1f} s of silence were cut off"
    if manifest.rejected:
        yield f"  what was left out is named in {folder / 'rejected.jsonl'}"


def _clip_lines(manifest: Manifest, folder: Path) -> Iterator[str]:
    yield (
        f"{folder}: {manifest.num_clips} clips, {manifest.hours:.3f} h, "
        f"{manifest.num_speakers} speakers, {len(manifest.shards)} shards"
    )
    for language, totals in manifest.languages.items():
        yield f"  {language}: {totals['clips']} clips, {totals['hours']:.3f} h"

"""Bodies of `gsv2 align`: what it tells of a corpus, and the times of the words of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import read_clips
from gsv2.inference.alignment import AlignmentReport, align_corpus
from gsv2.inference.launched_work import launched_work
from gsv2.inference.spoken_times import SpokenText, time_text

OUTLIER_DEVIATIONS = 6.0
"""How far below the median a score is told as an outlier's."""
_NAMED = 20
"""Clips that are named one by one."""


def align(
    corpus: Path, codes: Path, aligner: Path, device: str, leave_out_outliers: bool
) -> Iterator[str]:
    """Align a corpus on all ranks of the launcher; yield, on the first, lines about the result."""
    deviations = OUTLIER_DEVIATIONS if leave_out_outliers else None
    with launched_work("aligning", device) as work:
        manifest, report = align_corpus(
            corpus,
            codes,
            aligner,
            work.device,
            work.shared,
            outlier_deviations=deviations,
        )
    if not work.is_main:
        return
    yield f"{codes}: {manifest.num_clips} clips, aligned by {manifest.aligner}"
    yield from _figures(report, left_out=leave_out_outliers)


def clip_times(corpus: Path, codes: Path, key: str) -> SpokenText:
    """Return when the words of a clip are spoken.

    Raises:
        ValueError: no such clip, or one that is not aligned.
    """
    index = CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))
    rate_hz = index.code_format.rate_hz
    for clip in read_clips(index, ("codes", "align")):
        if clip.key != key:
            continue
        if not isinstance(clip, Clip) or clip.alignment is None or rate_hz is None:
            reason = "its alignment is missing" if isinstance(clip, Clip) else clip.reason
            raise ValueError(f"clip {key} of {codes} has no times: {reason}")
        return time_text(clip.text, clip.alignment, rate_hz)
    raise ValueError(f"{corpus} has no clip {key}")


def _figures(report: AlignmentReport, *, left_out: bool) -> Iterator[str]:
    if report.scores:
        scores = sorted(report.scores.values())
        rate = report.num_frames / max(1, report.num_characters)
        yield (
            f"  {len(scores)} aligned in this call, {rate:.2f} frames a character, median "
            f"log-probability of a frame {scores[len(scores) // 2]:.2f}"
        )
    if report.failures:
        yield f"  {len(report.failures)} cannot be aligned; readers of alignments leave them out:"
        yield from _some(f"    {key}: {reason}" for key, reason in report.failures.items())
    outliers = sorted(report.outliers(OUTLIER_DEVIATIONS).items(), key=lambda item: item[1])
    if outliers:
        what = "are left out" if left_out else "are kept (--leave-out-outliers leaves them out)"
        yield f"  {len(outliers)} whose transcripts may be wrong, by their score, {what}:"
        yield from _some(f"    {key}: {score:.2f}" for key, score in outliers)


def _some(lines: Iterator[str]) -> Iterator[str]:
    """Yield the first lines, and how many are not told."""
    for number, line in enumerate(lines):
        if number < _NAMED:
            yield line
        last = number
    if last >= _NAMED:
        yield f"    and {last + 1 - _NAMED} more"

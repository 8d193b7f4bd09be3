"""Alignments of a whole corpus: which character is spoken at each code frame of every clip."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from gsv2.data.building.alignments import write_alignments
from gsv2.data.building.sidecar import ClipArray
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import CorpusError, Manifest, read_manifest
from gsv2.data.stream.batch import BadClip
from gsv2.inference.clip_batches import ALONE, BatchLimit, Progress, SharedWork, clip_batches
from gsv2.models.aligner.align import align_texts
from gsv2.models.aligner.model import Aligner
from gsv2.models.aligner.viterbi import AlignmentError
from gsv2.models.component import load_component
from gsv2.training.checkpoints.checkpoint import find_component
from gsv2.training.distributed.patient_ranks import PatientRanks

logger = logging.getLogger(__name__)

_LIMIT = BatchLimit("num_code_frames", 4000)
"""Code frames of a batch, padding included: log-probabilities of 256 columns take 4 MB."""
_MAD_TO_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass
class AlignmentReport:
    """Scores and failures of the clips of a corpus."""

    scores: dict[str, float] = field(default_factory=dict)
    """Key of each clip aligned in this call -> mean log-probability of a frame of its path."""
    failures: dict[str, str] = field(default_factory=dict)
    """Key -> why there is no alignment."""
    num_frames: int = 0
    """Code frames of the clips that were aligned."""
    num_characters: int = 0
    """Characters of their texts."""

    def shared(self, ranks: PatientRanks | None) -> AlignmentReport:
        """Return what all ranks have found. Collective."""
        if ranks is None or ranks.world == 1:
            return self
        every = AlignmentReport()
        for of_rank in ranks.gather(self):
            every.scores |= of_rank.scores
            every.failures |= of_rank.failures
            every.num_frames += of_rank.num_frames
            every.num_characters += of_rank.num_characters
        return every

    def outliers(self, deviations: float) -> dict[str, float]:
        """Return key -> score of the clips whose score lies that far below the median.

        Their transcripts are likely wrong. The deviation is that of a normal distribution with
        the same median absolute deviation, which outliers do not move.
        """
        if not self.scores:
            return {}
        scores = np.array(list(self.scores.values()))
        median = float(np.median(scores))
        spread = _MAD_TO_DEVIATION * float(np.median(np.abs(scores - median)))
        limit = median - deviations * spread
        return {key: score for key, score in self.scores.items() if score < limit}


def load_aligner(source: Path, device: torch.device) -> Aligner:
    """Return the aligner of a run, checkpoint, bundle or file."""
    component = load_component(find_component(source, "aligner"), "aligner")
    return Aligner.from_component(component).to(device)


def align_corpus(
    corpus: Path,
    codes: Path,
    aligner: Path,
    device: torch.device,
    work: SharedWork = ALONE,
    outlier_deviations: float | None = None,
) -> tuple[Manifest, AlignmentReport]:
    """Write the alignment of every clip beside its codes; `codes` is replaced when all are done.

    A call that was ended keeps its whole shards, and the same one goes on after them. Codes that
    this aligner has aligned are left as they are. Clips that cannot be aligned get no alignment,
    with a warning each, and readers that need one leave them out.

    Args:
        codes: folder of its sidecar corpus.
        aligner: run folder, checkpoint or file of the aligner.
        outlier_deviations: clips whose score lies this many deviations below the median get no
            alignment either; None = they are kept.

    Returns:
        The manifest, and what was found, by all ranks together.

    Raises:
        ValueError: a corpus or component that is missing, damaged or of other codes.
        InUseError: another process writes to `codes`.
    """
    model = load_aligner(aligner, device)
    made = read_manifest(codes)
    _check_quantizer(aligner, codes, made)
    fingerprint = model.fingerprint()
    report = AlignmentReport()
    if made.aligner == fingerprint and outlier_deviations is None:
        return made, report
    index = CorpusIndex.open(SourceConfig(path=str(corpus), codes=str(codes)))
    left_out: frozenset[str] = frozenset()
    if outlier_deviations is not None:
        scored = _score(_CorpusAligner(model, index, device, AlignmentReport()), index, work.ranks)
        left_out = frozenset(scored.outliers(outlier_deviations))
        report.failures |= scored.failures  # named already
    clips = _CorpusAligner(model, index, device, report)

    def wanted(skip: frozenset[str]) -> Iterator[ClipArray]:
        return (item for item in clips.alignments(work.progress, skip) if item[1] not in left_out)

    settings = f"outlier_deviations={outlier_deviations}"
    manifest = write_alignments(corpus, codes, wanted, fingerprint, settings, work.ranks)
    return manifest, report.shared(work.ranks) if outlier_deviations is None else scored


def _check_quantizer(aligner: Path, codes: Path, made: Manifest) -> None:
    """Check that an aligner was trained on codes of the quantizer that made these."""
    provenance = load_component(find_component(aligner, "aligner"), "aligner").provenance
    if made.quantizer != provenance.get("quantizer"):
        raise CorpusError(
            f"aligner {aligner} was trained on codes of quantizer {provenance.get('quantizer')}, "
            f"but {codes} were made by {made.quantizer}"
        )


def _score(
    clips: _CorpusAligner, index: CorpusIndex, ranks: PatientRanks | None
) -> AlignmentReport:
    """Return what is found of all clips, by each rank of its shards; nothing is written."""
    names = [shard.name for shard in index.shards]
    mine = names if ranks is None else names[ranks.rank :: ranks.world]

    def align() -> None:
        for _ in clips.alignments(None, frozenset(names) - frozenset(mine)):
            pass

    if ranks is None:
        align()
    else:
        ranks.on_all(align)
    return clips.report.shared(ranks)


class _CorpusAligner:
    """Pads and aligns batches of clips."""

    def __init__(
        self, aligner: Aligner, index: CorpusIndex, device: torch.device, report: AlignmentReport
    ) -> None:
        self._aligner = aligner
        self._index = index
        self._device = device
        self.report = report

    def alignments(self, progress: Progress | None, skip: frozenset[str]) -> Iterator[ClipArray]:
        """Yield (shard, key, [T] characters), shard after shard, without those to skip."""
        for clips in clip_batches(self._index, ("codes",), _LIMIT, skip=skip, progress=progress):
            yield from self._align([clip for clip in clips if not self._is_bad(clip)])

    def _is_bad(self, clip: Clip | BadClip) -> bool:
        if isinstance(clip, BadClip):
            self._fail(clip.key, clip.reason)
        return isinstance(clip, BadClip)

    def _fail(self, key: str, reason: str) -> None:
        if key not in self.report.failures:
            logger.warning("no alignment for clip %s: %s", key, reason)
        self.report.failures[key] = reason

    def _align(self, clips: Sequence[Clip | BadClip]) -> Iterator[ClipArray]:
        whole = [clip for clip in clips if isinstance(clip, Clip) and clip.codes is not None]
        if not whole:
            return
        codes = [clip.codes for clip in whole if clip.codes is not None]
        lengths = torch.tensor([array.shape[1] for array in codes])
        padded = torch.full((len(codes), len(codes[0]), int(lengths.max())), -1)
        for row, array in zip(padded, codes, strict=True):
            row[:, : array.shape[1]] = torch.from_numpy(array.astype(np.int64))
        texts = [clip.text for clip in whole]
        found = align_texts(self._aligner, padded.to(self._device), lengths.to(self._device), texts)
        for clip, length, alignment in zip(whole, lengths.tolist(), found, strict=True):
            if isinstance(alignment, AlignmentError):
                self._fail(clip.key, str(alignment))
                continue
            self.report.scores[clip.key] = alignment.score
            self.report.num_frames += length
            self.report.num_characters += len(clip.text)
            yield clip.shard, clip.key, alignment.characters

"""Codes of a whole corpus, as a sidecar corpus that the other stages read instead of audio."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from gsv2.audio.speech_encoders.make import make_speech_encoder
from gsv2.data.building.codes import CodesOrigin, write_codes
from gsv2.data.building.sidecar import ClipArray, find_sidecar
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import Manifest, is_complete
from gsv2.inference.clip_batches import ALONE, Progress, SharedWork
from gsv2.inference.clip_features import ClipFeatures
from gsv2.inference.feature_statistics import ShardSums
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.training.checkpoints.checkpoint import find_component

logger = logging.getLogger(__name__)


class ClipEncoding(NamedTuple):
    """How the clips of a corpus are encoded."""

    shift_samples: int = 0
    """Samples that are left out at the start of each clip, so that its frames lie elsewhere in the
    sound."""
    speech_encoder: Path | None = None
    """Folder of the weights of a pretrained speech encoder, in place of the one that the quantizer
    names."""
    feature_stats: Path | None = None
    """File for the features' mean and standard deviation over the corpus, by the same pass."""


_AS_TRAINED = ClipEncoding()


def extract_codes(
    corpus: Path,
    quantizer: Path,
    out: Path,
    device: torch.device,
    work: SharedWork = ALONE,
    encoding: ClipEncoding = _AS_TRAINED,
) -> Manifest:
    """Write the codes of every clip of a corpus; `out` appears complete or not at all.

    A call that was ended keeps its whole shards, and the same one goes on after them.
    A sidecar that is complete, of the same quantizer, shift and tars, is left as it is.
    Clips that cannot be read are left out, with a warning each.

    Args:
        corpus: folder of the corpus.
        quantizer: run folder, checkpoint, bundle or file of the quantizer.
        out: folder of the sidecar corpus; one that is out of date is replaced.

    Raises:
        ValueError: a corpus or component that is missing or damaged, or no clip with a frame.
    """
    component = load_component(find_component(quantizer, "quantizer"), "quantizer")
    model = Quantizer.from_component(component).to(device)
    made, index = find_sidecar(corpus, out), CorpusIndex.open(SourceConfig(path=str(corpus)))
    sums = None
    if encoding.feature_stats is not None:
        sums = ShardSums(encoding.feature_stats, model.config.speech_encoder, index.shards)
    origin = _origin(model, encoding)
    if made is None or made.kind != "codes" or not _is_of(made, origin):
        config = model.config.speech_encoder
        encoder = make_speech_encoder(config, encoding.speech_encoder).to(device)
        clips = ClipFeatures(encoder, index, device, encoding.shift_samples)
        start = time.monotonic()
        made = write_codes(
            corpus,
            out,
            partial(_codes, model, clips, sums, work.progress),
            origin,
            overwrite=is_complete(out),
            workers=work.ranks,
        )
        _tell_speed(clips.audio_sec, time.monotonic() - start, work)
    if sums is not None:
        record = partial(sums.record, made, corpus)
        record() if work.ranks is None else work.ranks.on_main(record)
    return made


def _origin(quantizer: Quantizer, encoding: ClipEncoding) -> CodesOrigin:
    codes = quantizer.config.codes
    of = (quantizer.fingerprint(), codes.codebook_size, codes.rate_hz)
    return CodesOrigin(*of, shift_samples=encoding.shift_samples)


def _is_of(made: Manifest, origin: CodesOrigin) -> bool:
    is_same = made.quantizer == origin.quantizer
    return is_same and made.shift_samples == origin.shift_samples


def _tell_speed(audio_sec: float, seconds: float, work: SharedWork) -> None:
    """Log how fast the ranks have encoded. Collective."""
    parts = [torch.tensor(audio_sec)]
    if work.ranks is not None:
        parts = work.ranks.gather(parts[0])
    total = float(sum(parts))
    if work.ranks is None or work.ranks.rank == 0:
        logger.info(
            "encoded %.2f h of audio in %.1f s by %d process%s: %.0f x real time",
            total / 3600, seconds, len(parts), "es" if len(parts) > 1 else "", total / seconds,
        )  # fmt: skip


def _codes(
    quantizer: Quantizer,
    clips: ClipFeatures,
    sums: ShardSums | None,
    progress: Progress | None,
    skip: frozenset[str],
) -> Iterator[ClipArray]:
    """Yield (shard, key, [K, T] codes), shard after shard, without those to skip."""
    batches = clips.batches(skip=skip, progress=progress)
    for batch in batches if sums is None else sums.watched(batches):
        codes = quantizer.encode(*batch.features).cpu()  # [B, K, T]
        for clip, of_clip in zip(batch.clips, codes, strict=True):
            yield clip.shard, clip.key, of_clip[:, of_clip[0] >= 0].numpy()

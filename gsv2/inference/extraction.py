"""Codes of a whole corpus, as a sidecar corpus that the other stages read instead of audio."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeGuard

import torch

from gsv2.audio.ssl import LogMelEncoder, make_speech_encoder
from gsv2.data.building.codes import write_codes
from gsv2.data.building.sidecar import ClipArray
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.format import HOP_LENGTH, SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import Manifest, is_complete, read_manifest
from gsv2.data.stream.batch import BadClip
from gsv2.inference.clip_batches import ALONE, Progress, SharedWork, clip_batches
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from gsv2.training.checkpoints.checkpoint import find_component

logger = logging.getLogger(__name__)

MAX_BATCH_SEC = 60.0
"""Most audio of a batch, padding included."""


def extract_codes(
    corpus: Path,
    quantizer: Path,
    out: Path,
    device: torch.device,
    work: SharedWork = ALONE,
    shift_samples: int = 0,
) -> Manifest:
    """Write the codes of every clip of a corpus; `out` appears complete or not at all.

    A call that was ended keeps its whole shards, and the same one goes on after them.
    A sidecar that is complete, of the same quantizer and of the same tars, is left as it is.
    Clips that cannot be read are left out, with a warning each.

    Args:
        corpus: folder of the corpus.
        quantizer: run folder, checkpoint, bundle or file of the quantizer.
        out: folder of the sidecar corpus; one that is out of date is replaced.
        shift_samples: samples that are left out at the start of each clip, so that its frames lie
            elsewhere in the sound; `out` is not asked for what it was made with.

    Raises:
        ValueError: a corpus or component that is missing or damaged, or no clip with a frame.
    """
    component = load_component(find_component(quantizer, "quantizer"), "quantizer")
    model = Quantizer.from_component(component).to(device)
    fingerprint = model.fingerprint()
    done = _find(corpus, out, fingerprint)
    if done is not None:
        return done
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    extractor = _Extractor(model, index, device, shift_samples)
    return write_codes(
        corpus,
        out,
        partial(extractor.codes, work.progress),
        fingerprint,
        codebook_size=model.config.codes.codebook_size,
        code_rate_hz=model.config.codes.rate_hz,
        overwrite=is_complete(out),
        workers=work.ranks,
    )


class _Extractor:
    """Reads, sorts, pads and encodes."""

    def __init__(
        self,
        quantizer: Quantizer,
        index: CorpusIndex,
        device: torch.device,
        shift_samples: int,
    ) -> None:
        self._quantizer = quantizer
        self._speech_encoder: LogMelEncoder = make_speech_encoder(
            quantizer.config.speech_encoder
        ).to(device)
        self._index = index
        self._device = device
        self._shift = shift_samples

    def codes(self, progress: Progress | None, skip: frozenset[str]) -> Iterator[ClipArray]:
        """Yield (shard, key, [K, T] codes), shard after shard, without those to skip."""
        max_samples = round(MAX_BATCH_SEC * SAMPLE_RATE)
        for clips in clip_batches(
            self._index, ("audio",), "num_samples", max_samples, skip=skip, progress=progress
        ):
            usable = [clip for clip in clips if _is_usable(clip, HOP_LENGTH + self._shift)]
            yield from self._encode(usable)

    def _encode(self, clips: Sequence[Clip]) -> Iterator[ClipArray]:
        waves = [clip.wave[self._shift :] for clip in clips if clip.wave is not None]
        if not waves:
            return
        lengths = torch.tensor([len(wave) for wave in waves])
        padded = torch.zeros(len(waves), 1, int(lengths.max()))
        for row, wave in zip(padded, waves, strict=True):
            row[0, : len(wave)] = torch.from_numpy(wave)
        features, mask = self._speech_encoder(padded.to(self._device), lengths.to(self._device))
        codes = self._quantizer.encode(features, mask).cpu()  # [B, K, T]
        for clip, of_clip in zip(clips, codes, strict=True):
            yield clip.shard, clip.key, of_clip[:, of_clip[0] >= 0].numpy()


def _is_usable(clip: Clip | BadClip, least: int) -> TypeGuard[Clip]:
    """Tell whether a clip has at least one frame; warn if not."""
    if isinstance(clip, BadClip):
        logger.warning("no codes for clip %s of %s: %s", clip.key, clip.shard, clip.reason)
        return False
    if clip.wave is None or len(clip.wave) < least:
        logger.warning("no codes for clip %s of %s: shorter than a frame", clip.key, clip.shard)
        return False
    return True


def _find(corpus: Path, out: Path, fingerprint: str) -> Manifest | None:
    """Return the sidecar at `out` if these tars and this quantizer made it."""
    if not is_complete(out):
        return None
    made = read_manifest(out)
    sources = {shard.name: shard.source_sha256 for shard in made.shards}
    wanted = {shard.name: shard.sha256 for shard in read_manifest(corpus).shards}
    is_current = made.kind == "codes" and made.quantizer == fingerprint and sources == wanted
    return made if is_current else None

"""Speech features of the clips of a corpus, batch by batch, for codes and for statistics."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch

from gsv2.audio.speech_encoders.interface import SpeechEncoder, SpeechFeatures
from gsv2.data.corpus.decode import Clip
from gsv2.data.corpus.format import HOP_LENGTH, SAMPLE_RATE
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.batch import BadClip
from gsv2.inference.clip_batches import BatchLimit, clip_batches

logger = logging.getLogger(__name__)

MAX_BATCH_SEC = 60.0
"""Most audio of a batch, padding included."""


class FeatureBatch(NamedTuple):
    """Clips of one shard with their features."""

    clips: Sequence[Clip]
    features: SpeechFeatures
    """Features of the clips, in their order; each has a frame."""


class ClipFeatures:
    """Reads clips, sorts them by length, pads and encodes them.

    Clips that cannot be read, are shorter than a frame, or have features that are not finite are
    left out, with a warning each.

    Args:
        encoder: the speech encoder, on `device`.
        index: index of a local corpus.
        device: device to compute on.
        shift_samples: samples that are left out at the start of each clip.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        index: CorpusIndex,
        device: torch.device,
        shift_samples: int = 0,
    ) -> None:
        self._encoder = encoder
        self._index = index
        self._device = device
        self._limit = BatchLimit("num_samples", round(MAX_BATCH_SEC * SAMPLE_RATE))
        self._shift = shift_samples
        self.audio_sec = 0.0
        """Seconds of audio that were encoded so far."""

    def batches(self, **options: Any) -> Iterator[FeatureBatch]:
        """Yield the clips of the corpus, shard after shard.

        Args:
            options: `skip`, `share` and `progress` of `gsv2.inference.clip_batches`.
        """
        batches = clip_batches(self._index, ("audio",), self._limit, **options)
        for clips in batches:
            usable = [clip for clip in clips if _is_usable(clip, HOP_LENGTH + self._shift)]
            if usable:
                yield self._encode(usable)

    @torch.inference_mode()
    def _encode(self, clips: Sequence[Clip]) -> FeatureBatch:
        waves = [clip.wave[self._shift :] for clip in clips if clip.wave is not None]
        lengths = torch.tensor([len(wave) for wave in waves])
        padded = torch.zeros(len(waves), 1, int(lengths.max()))
        for row, wave in zip(padded, waves, strict=True):
            row[0, : len(wave)] = torch.from_numpy(wave)
        features, mask = self._encoder(padded.to(self._device), lengths.to(self._device))
        self.audio_sec += int(lengths.sum()) / SAMPLE_RATE
        there = mask.any(dim=1)
        found = there.tolist()
        for clip in (clip for clip, has_frame in zip(clips, found, strict=True) if not has_frame):
            logger.warning(
                "clip %s of %s is left out: its features are not finite", clip.key, clip.shard
            )
        kept = [clip for clip, has_frame in zip(clips, found, strict=True) if has_frame]
        return FeatureBatch(kept, SpeechFeatures(features[there], mask[there]))


def _is_usable(clip: Clip | BadClip, least: int) -> TypeGuard[Clip]:
    """Tell whether a clip has at least one frame; warn if not."""
    if isinstance(clip, BadClip):
        logger.warning("clip %s of %s is left out: %s", clip.key, clip.shard, clip.reason)
        return False
    if clip.wave is None or len(clip.wave) < least:
        logger.warning("clip %s of %s is left out: shorter than a frame", clip.key, clip.shard)
        return False
    return True

"""Start of a quantizer: normalisation and codebooks from a reservoir of the first micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gsv2.audio.speech_encoders.interface import SpeechFeatures
from gsv2.data.stream.batch import Batch
from gsv2.models.quantizer.feature_statistics import FeatureStatistics
from gsv2.models.quantizer.model import Quantizer
from gsv2.training.telemetry.progress import CountingLines


def start_quantizer(
    quantizer: Quantizer,
    batches: Iterable[Batch],
    features_of: Callable[[Batch], SpeechFeatures],
    micro_batches_per_step: int,
    statistics: FeatureStatistics | None,
) -> None:
    """Set normalisation and codebooks, from enough frames or one epoch.

    Args:
        quantizer: untrained quantizer.
        batches: first micro-batches.
        features_of: frozen speech encoder.
        micro_batches_per_step: micro-batches of an optimizer step.
        statistics: statistics of the features, to normalise by; None = those of the reservoir.

    Raises:
        ValueError: no clip, or too few frames.
    """
    config = quantizer.config
    wanted = config.codebooks.reservoir_per_entry * config.codes.codebook_size
    reservoir: list[SpeechFeatures] = []
    num_code_frames, num_batches = 0, 0
    collected = CountingLines("code frames for k-means")
    for batch in batches:
        if num_code_frames >= wanted or batch.epoch > 0:
            break
        num_batches += 1
        if batch.num_clips:
            reservoir.append(features_of(batch))
            num_code_frames += int(reservoir[-1].mask[:, :: config.stride].sum())
        collected(min(num_code_frames, wanted), wanted)
    if not reservoir:
        raise ValueError("the first epoch of the training data must hold a clip to start from")
    per_step = num_code_frames / num_batches * micro_batches_per_step
    quantizer.initialise(reservoir, per_step, CountingLines("iterations of k-means"), statistics)

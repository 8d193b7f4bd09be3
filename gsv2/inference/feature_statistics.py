"""Statistics of a speech encoder's features over a sample of a corpus, by several ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest, write_manifest
from gsv2.inference.clip_batches import ALONE, SharedWork
from gsv2.inference.clip_features import ClipFeatures
from gsv2.models.quantizer.feature_statistics import FeatureStatistics, FeatureSums


def compute_feature_statistics(
    corpus: Path,
    encoder: SpeechEncoderConfig,
    out: Path,
    device: torch.device,
    work: SharedWork = ALONE,
    max_hours: float = 10.0,
) -> FeatureStatistics:
    """Compute mean and standard deviation, write them, and record them in corpus.json.

    Which clips are in the sample depends on the corpus alone, not on the ranks.

    Args:
        encoder: config of the speech encoder; what its weights say is filled in.
        out: file to write.
        max_hours: audio of the sample; clips of all shards are drawn for it.

    Raises:
        ValueError: a corpus or encoder that is missing or damaged, or no clip with frames.
    """
    config = resolve_speech_encoder(encoder)
    network = make_speech_encoder(config).to(device)
    index = CorpusIndex.open(SourceConfig(path=str(corpus)))
    manifest = read_manifest(corpus)
    share = min(1.0, max_hours / manifest.hours) if manifest.hours else 1.0
    ranks = work.ranks
    rank, world = (ranks.rank, ranks.world) if ranks else (0, 1)
    mine = {shard.name for shard in index.shards[rank::world]}
    skip = frozenset(shard.name for shard in index.shards) - mine
    sums = FeatureSums(config.dim)

    def add_up() -> None:
        clips = ClipFeatures(network, index, device)
        for batch in clips.batches(skip=skip, share=share, progress=work.progress):
            sums.add(*batch.features)

    if ranks is None:
        add_up()
        parts: Sequence[torch.Tensor] = [sums.packed()]
    else:
        ranks.on_all(add_up)
        parts = ranks.gather(sums.packed())
    found = FeatureSums.statistics(torch.stack(list(parts)).sum(dim=0), config.identity)

    def write() -> None:
        found.save(out)
        entry = {**found.encoder, "num_frames": found.num_frames, "file": str(out)}
        others = [one for one in manifest.feature_stats if one.get("file") != str(out)]
        write_manifest(replace(manifest, feature_stats=(*others, entry)), corpus)

    write() if ranks is None else ranks.on_main(write)
    return found

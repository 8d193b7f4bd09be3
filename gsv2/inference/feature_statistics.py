"""Statistics of a speech encoder's features over a sample of a corpus, by several ranks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.make import make_speech_encoder, resolve_speech_encoder
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import Manifest, read_manifest, write_manifest
from gsv2.data.corpus.shard import Shard
from gsv2.files import remove_folder, write_atomically
from gsv2.inference.clip_batches import ALONE, SharedWork
from gsv2.inference.clip_features import ClipFeatures, FeatureBatch
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

    write = partial(_record, found, out, corpus)
    write() if ranks is None else ranks.on_main(write)
    return found


class ShardSums:
    """Sums of the features of each shard, which a pass for something else adds up on its way.

    They lie in a folder beside the statistics until these are written, so that a pass that was
    ended, or shared by ranks, loses none and counts none twice.

    Args:
        out: file of the statistics.
        encoder: config of the speech encoder, with what its weights say.
        shards: shards of the corpus.
    """

    def __init__(self, out: Path, encoder: SpeechEncoderConfig, shards: Sequence[Shard]) -> None:
        self._out = out
        self._encoder = encoder
        identity = json.dumps(encoder.identity, sort_keys=True)
        self._files = {
            shard.name: out.with_name(f"{out.name}.sums")
            / hashlib.sha256(f"{identity} {shard.name} {shard.sha256}".encode()).hexdigest()
            for shard in shards
        }

    def watched(self, batches: Iterable[FeatureBatch]) -> Iterator[FeatureBatch]:
        """Pass batches on, shard after shard.

        The sums of a shard are on disk before a batch of the next one, or the end, is.
        """
        filled = (batch for batch in batches if batch.clips)
        for name, of_shard in groupby(filled, key=lambda batch: batch.clips[0].shard):
            sums = FeatureSums(self._encoder.dim)
            for batch in of_shard:
                sums.add(*batch.features)
                yield batch
            self._files[name].parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._files[name], sums.packed().numpy().tobytes())

    def record(self, made: Manifest, corpus: Path) -> FeatureStatistics:
        """Write the statistics of all shards, and record them in corpus.json.

        Args:
            made: sidecar that the pass was for; its shards without clips have no sums.
            corpus: folder of the corpus.

        Raises:
            ValueError: an earlier pass without sums has made a shard.
        """
        if self._out.is_file():
            return FeatureStatistics.load(self._out, self._encoder.identity)
        total = FeatureSums(self._encoder.dim).packed()
        for entry in (entry for entry in made.shards if entry.num_clips):
            if not (file := self._files[entry.name]).is_file():
                raise ValueError(
                    f"--feature-stats {self._out}: {entry.name} was encoded before without it; "
                    "compute them by gsv2 corpus feature-stats"
                )
            total += torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.float64)
        found = FeatureSums.statistics(total, self._encoder.identity)
        _record(found, self._out, corpus)
        remove_folder(next(iter(self._files.values())).parent)
        return found


def _record(found: FeatureStatistics, out: Path, corpus: Path) -> None:
    """Write statistics, and name them in corpus.json."""
    found.save(out)
    manifest = read_manifest(corpus)
    entry = {**found.encoder, "num_frames": found.num_frames, "file": str(out)}
    others = [one for one in manifest.feature_stats if one.get("file") != str(out)]
    write_manifest(replace(manifest, feature_stats=(*others, entry)), corpus)

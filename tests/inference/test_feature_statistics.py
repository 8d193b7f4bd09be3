from pathlib import Path

import pytest
import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.audio.speech_encoders.make import make_speech_encoder
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.corpus.manifest import read_manifest
from gsv2.data.stream.reader import read_clips
from gsv2.inference import clip_features
from gsv2.inference.clip_batches import SharedWork
from gsv2.inference.feature_statistics import compute_feature_statistics
from gsv2.models.quantizer.feature_statistics import FeatureStatistics
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from tests.support.thread_ranks import run_ranks

CPU = torch.device("cpu")
ENCODER = SpeechEncoderConfig(num_mels=10)


@pytest.fixture
def corpus(make_corpus, tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", 8, num_speakers=8, seconds=(0.5, 0.9), shard_mb=0.05)


def test_statistics_are_those_of_all_frames_and_stand_in_corpus_json(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_features, "MAX_BATCH_SEC", 1.5)
    out = tmp_path / "stats.safetensors"
    found = compute_feature_statistics(corpus, ENCODER, out, CPU)
    encoder = make_speech_encoder(ENCODER)
    frames = torch.cat(
        [
            encoder(torch.from_numpy(clip.wave)[None, None], torch.tensor([len(clip.wave)]))[0][0]
            for clip in read_clips(CorpusIndex.open(SourceConfig(path=str(corpus))), ["audio"])
        ]
    )
    torch.testing.assert_close(found.mean, frames.mean(dim=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.std, frames.std(dim=0), rtol=1e-4, atol=1e-4)
    assert found.num_frames == len(frames)
    loaded = FeatureStatistics.load(out, ENCODER.identity)
    assert torch.equal(loaded.mean, found.mean)
    entry = {**ENCODER.identity, "num_frames": len(frames), "file": str(out)}
    assert read_manifest(corpus).feature_stats == (entry,)
    compute_feature_statistics(corpus, ENCODER, out, CPU)
    assert read_manifest(corpus).feature_stats == (entry,)


def test_ranks_share_the_shards_and_find_what_one_finds(corpus: Path, tmp_path: Path) -> None:
    alone = compute_feature_statistics(corpus, ENCODER, tmp_path / "one", CPU, max_hours=1e-3)

    def compute(ranks: Distributed) -> FeatureStatistics:
        return compute_feature_statistics(
            corpus, ENCODER, tmp_path / "two", CPU, SharedWork(ranks=PatientRanks(ranks)), 1e-3
        )

    for found in run_ranks(2, compute):
        assert 0 < found.num_frames == alone.num_frames
        torch.testing.assert_close(found.mean, alone.mean)
        torch.testing.assert_close(found.std, alone.std)


def test_a_sample_holds_about_as_much_audio_as_asked(corpus: Path, tmp_path: Path) -> None:
    hours = read_manifest(corpus).hours
    whole = compute_feature_statistics(corpus, ENCODER, tmp_path / "all", CPU)
    half = compute_feature_statistics(corpus, ENCODER, tmp_path / "half", CPU, max_hours=hours / 2)
    assert 0.15 * whole.num_frames < half.num_frames < 0.85 * whole.num_frames


def test_statistics_of_another_encoder_or_a_damaged_file_are_refused(tmp_path: Path) -> None:
    stats = FeatureStatistics(
        mean=torch.zeros(4), std=torch.ones(4), num_frames=9, encoder={"name": "a"}
    )
    stats.save(tmp_path / "s")
    with pytest.raises(ValueError, match=r"must be of the speech encoder .*'b'.*but is of .*'a'"):
        FeatureStatistics.load(tmp_path / "s", {"name": "b"})
    (tmp_path / "s").write_bytes(b"{}")
    with pytest.raises(ValueError, match="is damaged"):
        FeatureStatistics.load(tmp_path / "s", {"name": "a"})
    with pytest.raises(ValueError, match="gsv2 corpus feature-stats"):
        FeatureStatistics.load(tmp_path / "nowhere", {"name": "a"})

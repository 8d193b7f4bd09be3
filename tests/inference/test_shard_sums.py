"""Statistics of features that the pass of codes adds up on its way."""

import logging
from pathlib import Path

import pytest
import torch

from gsv2.data.corpus.manifest import Manifest, read_manifest
from gsv2.inference import clip_features
from gsv2.inference.clip_batches import SharedWork
from gsv2.inference.extraction import ClipEncoding, extract_codes
from gsv2.inference.feature_statistics import compute_feature_statistics
from gsv2.models.quantizer.feature_statistics import FeatureStatistics
from gsv2.training.distributed.patient_ranks import PatientRanks
from gsv2.training.distributed.ranks import Distributed
from tests.inference.test_extraction import CPU, save_quantizer
from tests.support.thread_ranks import run_ranks


@pytest.fixture
def component(tmp_path: Path) -> Path:
    path = tmp_path / "quantizer.safetensors"
    save_quantizer(path, seed=0)
    return path


def test_one_pass_writes_codes_and_statistics_whoever_ended_it(
    make_corpus, component, tmp_path, monkeypatch, caplog
) -> None:
    """A pass that was ended, then shared by two ranks, against a pass for statistics alone."""
    corpus = make_corpus(tmp_path / "corpus", 8, num_speakers=8, seconds=(0.5, 0.9), shard_mb=0.05)
    config = save_quantizer(component, seed=0).config.speech_encoder
    alone = compute_feature_statistics(corpus, config, tmp_path / "alone.safetensors", CPU)
    monkeypatch.setattr(clip_features, "MAX_BATCH_SEC", 0.1)
    file, out = tmp_path / "together.safetensors", tmp_path / "codes"
    encoding = ClipEncoding(feature_stats=file)

    def end(done: int, total: int) -> None:
        if done == total:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        extract_codes(corpus, component, out, CPU, SharedWork(progress=end), encoding)
    assert not file.exists()

    def encode(distributed: Distributed) -> Manifest:
        work = SharedWork(ranks=PatientRanks(distributed))
        return extract_codes(corpus, component, out, CPU, work, encoding)

    with caplog.at_level(logging.INFO, logger="gsv2.inference.extraction"):
        run_ranks(2, encode)
    assert "h of audio" in caplog.text
    assert "by 2 processes" in caplog.text
    found = FeatureStatistics.load(file, config.identity)
    assert found.num_frames == alone.num_frames
    torch.testing.assert_close(found.mean, alone.mean, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.std, alone.std, rtol=1e-5, atol=0)
    assert str(file) in {one["file"] for one in read_manifest(corpus).feature_stats}
    assert not file.with_name(f"{file.name}.sums").exists()
    extract_codes(corpus, component, out, CPU, encoding=encoding)  # all is there
    other = ClipEncoding(feature_stats=tmp_path / "later.safetensors")
    with pytest.raises(ValueError, match="was encoded before without it"):
        extract_codes(corpus, component, out, CPU, encoding=other)

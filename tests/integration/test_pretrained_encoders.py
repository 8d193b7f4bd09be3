"""A tiny pretrained encoder through training, codes, bundle and speech."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gsv2.audio.speech_encoders.make import resolve_speech_encoder
from gsv2.data.config import SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.reader import read_clips
from gsv2.inference import clip_features
from gsv2.inference.bundle import export_bundle
from gsv2.inference.encoder_folders import EncoderFolders
from gsv2.inference.extraction import ClipEncoding, extract_codes
from gsv2.inference.synthesizer import Synthesizer
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.train import main
from gsv2.training.checkpoints.checkpoint import CheckpointMismatchError, find_component
from gsv2.training.precision.policy import PrecisionError
from gsv2.training.run_folder.records import read_records
from tests.support.tiny_bundle import save_parts
from tests.support.tiny_speech_encoders import DIM, encoder_config, save_speech_encoder

pytestmark = pytest.mark.long

CPU = torch.device("cpu")


def train(tmp_path: Path, corpus: Any, folder: Path, *more: str) -> Path:
    """Train the debug quantizer on features of a saved mHuBERT."""
    overrides = [
        f"run.dir={tmp_path / 'runs'}",
        f"data.sources=[{{path: {corpus.path}}}]",
        f"data.validation=[{{path: {corpus.path}}}]",
        "data.lanes=2",
        "data.max_frames=300",
        "model.speech_encoder.name=mhubert-147",
        f"model.speech_encoder.path={folder}",
        "model.codes.codebook_size=16",
        "model.width=16",
        "trainer.max_steps=2",
        "trainer.log_every_steps=1",
        "trainer.validate_every_steps=2",
        "tracking.progress=false",
    ]
    return main("quantizer/debug", [*overrides, *more])


def test_from_a_folder_of_weights_to_codes_that_do_not_depend_on_batches(
    tmp_path: Path, tiny_corpus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_speech_encoder(tmp_path / "encoder", "mhubert-147")
    run = train(tmp_path, tiny_corpus, folder)
    assert np.isfinite(read_records(run / "metrics.jsonl")[-1]["quantizer/loss"])
    component = load_component(find_component(run, "quantizer"), "quantizer")
    config = component.read_config(QuantizerConfig).speech_encoder
    assert config == resolve_speech_encoder(encoder_config(folder, "mhubert-147"))
    quantizer = Quantizer.from_component(component)
    assert len(quantizer.feature_mean) == DIM
    manifests = []
    for name, sec in (("together", 60.0), ("alone", 0.1)):
        monkeypatch.setattr(clip_features, "MAX_BATCH_SEC", sec)
        manifests.append(extract_codes(tiny_corpus.path, run, tmp_path / name, CPU))
    assert manifests[0] == manifests[1]
    assert manifests[0].quantizer == quantizer.fingerprint() == component.provenance["quantizer"]
    source = SourceConfig(path=str(tiny_corpus.path), codes=str(tmp_path / "together"))
    codes = {clip.key: clip.codes for clip in read_clips(CorpusIndex.open(source), ["codes"])}
    assert len(codes) == 12

    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    with pytest.raises(ValueError, match=r"model\.speech_encoder\.path=FOLDER"):
        extract_codes(tiny_corpus.path, run, tmp_path / "again", CPU)
    again = extract_codes(
        tiny_corpus.path, run, tmp_path / "again", CPU, encoding=ClipEncoding(speech_encoder=moved)
    )
    assert again == manifests[0]
    on = train(tmp_path, tiny_corpus, moved, "trainer.max_steps=3")
    assert read_records(on / "metrics.jsonl")[-1]["step"] == 3
    other = save_speech_encoder(tmp_path / "other", "mhubert-147", seed=1)
    with pytest.raises(CheckpointMismatchError, match=r"speech_encoder\.sha256"):
        train(tmp_path, tiny_corpus, other, "trainer.max_steps=4")


def test_a_bundle_names_its_encoder_and_speaks_with_it_wherever_it_lies(tmp_path: Path) -> None:
    folder = save_speech_encoder(tmp_path / "encoder", "whisper")
    config = resolve_speech_encoder(encoder_config(folder, "whisper"))
    parts = save_parts(tmp_path / "run", speech_encoder=config)
    bundle = export_bundle([parts], tmp_path / "bundle")
    named = json.loads((bundle / "bundle.json").read_text())["speech_encoder"]
    assert named == {**config.identity, "source": str(folder)}
    wave = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    codes = Synthesizer.from_bundle(bundle, CPU).encode(wave)
    assert codes.shape == (2, 25)
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    with pytest.raises(ValueError, match=r"put config\.json"):
        Synthesizer.from_bundle(bundle, CPU)
    assert torch.equal(
        Synthesizer.from_bundle(bundle, CPU, EncoderFolders(speech=moved)).encode(wave), codes
    )


def test_mhubert_in_half_precision_is_refused_with_the_reason(
    tmp_path: Path, tiny_corpus: Any
) -> None:
    with pytest.raises(PrecisionError, match=r"precision\.ssl must be fp32.*mHuBERT-147 overflows"):
        train(tmp_path, tiny_corpus, tmp_path / "nowhere", "precision.ssl=bf16")

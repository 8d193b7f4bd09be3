"""The quantizer's stage and the features that it is given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gsv2.models.quantizer.feature_statistics import FeatureStatistics
from gsv2.stages.quantizer import QuantizerStage
from tests.stages.test_quantizer import CPU, endless, make_config
from tests.support.tiny_speech_encoders import encoder_config, save_speech_encoder


def test_stored_statistics_normalise_in_place_of_those_of_the_reservoir(
    tiny_corpus, tmp_path
) -> None:
    config = make_config(tiny_corpus.source)
    encoder = config.model.speech_encoder
    stored = FeatureStatistics(
        mean=torch.full((40,), 2.0),
        std=torch.full((40,), 3.0),
        num_frames=9,
        encoder=encoder.identity,
    )
    stored.save(tmp_path / "stats")
    model = replace(config.model, feature_stats=str(tmp_path / "stats"))
    stage = QuantizerStage(replace(config, model=model), CPU)
    stage.initialise(endless(config))
    assert torch.equal(stage.quantizer.feature_mean, stored.mean)
    assert torch.equal(stage.quantizer.feature_std, stored.std)
    other = replace(model, speech_encoder=replace(encoder, f_max=7000.0))
    with pytest.raises(ValueError, match=r"feature_stats .* must be of the speech encoder"):
        QuantizerStage(replace(config, model=other), CPU)


def test_a_clip_without_finite_features_carries_no_loss_and_is_refused_by_name(
    tiny_corpus, tmp_path
) -> None:
    folder = save_speech_encoder(tmp_path, "mhubert-147")
    config = make_config(tiny_corpus.source)
    model = replace(config.model, speech_encoder=encoder_config(folder, "mhubert-147"))
    stage = QuantizerStage(replace(config, model=model), CPU)
    stage.initialise(endless(config))
    batch = next(endless(config))
    batch.wave[0] = torch.nan
    (update,) = stage.updates(batch, step=1)
    assert update.loss.isfinite()
    ((micro_batch, bad),) = stage.take_refused()
    assert (micro_batch, bad.key) == (0, batch.keys[0])
    assert bad.reason == "its features by mhubert-147 are not finite"
    assert stage.take_refused() == []

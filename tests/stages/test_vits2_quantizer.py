"""A quantizer that trains with the waveform model: the chain rule, its codebooks, its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gsv2.config import ConfigError
from gsv2.stages import members_of
from gsv2.stages.vits2 import VITS2Stage
from tests.support.tiny_live_quantizer import audio, live_config, make_live_stage


def gradients(stage: VITS2Stage) -> dict[str, torch.Tensor]:
    named = stage.trainables["quantizer"].module.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_both_updates_together_are_one_chain_rule(tmp_path: Path) -> None:
    """The reference is one backward pass through both networks; losses weigh 0.3 in both."""
    stage = make_live_stage(tmp_path)
    batch = audio()
    torch.manual_seed(1)
    run = stage._run(batch, 1)
    whole = stage._generator_update(run.real, run.pitch, run.decoded, 1).loss
    (passed,) = torch.autograd.grad(whole, run.live.leaf, retain_graph=True)
    own = stage.quantizer.network(*stage.quantizer._features(batch))
    target = (own.vectors * passed).sum() + 0.25 * own.commitment
    target = target + (own.reconstruction - own.target).square()[run.live.mask].mean()
    expected = torch.autograd.grad(
        0.3 * target, [*stage.trainables["quantizer"].module.parameters()]
    )
    stage.quantizer._collected.clear()
    torch.manual_seed(1)
    updates = stage.updates(batch, 1)
    for name in ("generator", "quantizer"):
        update = next(updates)
        assert update.trainable == name
        (0.3 * update.loss).backward()
    for gradient, wanted in zip(gradients(stage).values(), expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-5)


def test_it_trains_until_its_step_and_stays_then(tmp_path: Path) -> None:
    stage = make_live_stage(tmp_path)
    quantizer, model = (stage.trainables[name].module for name in ("quantizer", "generator"))
    seen, yielded = [], []
    for step in range(1, 5):
        names = []
        for update in stage.updates(audio(), step):
            update.loss.backward()
            trainable = stage.trainables[update.trainable]
            trainable.optimizer.step()
            trainable.optimizer.zero_grad(set_to_none=True)
            names.append(update.trainable)
        yielded.append(names)
        seen.append(quantizer.fingerprint())
        assert model.code_vectors.codebooks.equal(quantizer.codebooks.entries)
        assert stage.trainables["generator"].provenance["quantizer"] == seen[-1]
    assert yielded == [["generator", "quantizer"]] * 2 + [["generator"]] * 2
    assert seen[0] != seen[1] == seen[2] == seen[3]
    assert quantizer.frozen


def test_a_batch_without_a_clip_moves_nothing(tmp_path: Path) -> None:
    stage = make_live_stage(tmp_path)
    counts = stage.quantizer.network.codebooks.cluster_sizes.clone()
    for update in stage.updates(audio(()), 1):
        assert update.loss.item() == 0
        update.loss.backward()
        for parameter in stage.trainables[update.trainable].module.parameters():
            assert parameter.grad is not None
            assert (parameter.grad == 0).all()
    after = stage.quantizer.network.codebooks.cluster_sizes
    torch.testing.assert_close(after, counts * 0.99)


def test_it_needs_no_codes_and_validates_through_those_of_the_moment(tmp_path: Path) -> None:
    assert members_of(live_config(tmp_path)) == ("audio",)
    stage = make_live_stage(tmp_path)
    assert stage.codes is None
    stage.trainables["generator"].module.eval()
    figures = stage.validate(audio())
    assert set(figures) == {"generator/mel_through_codes", "generator/mel_through_posterior"}
    assert all(torch.isfinite(value) for value in figures.values())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"quantizer": "q"}, "model.quantizer must be left out .*trained_quantizer, which makes"),
        ({"generator": {"prior": "text"}}, "trained_quantizer needs model.generator.prior=codes"),
        ({"generator": {"content_input": "features"}}, "content_input=vectors"),
        ({"trained_quantizer": {"until_step": 0}}, "until_step"),
        ({"trained_quantizer": {"network": {"feature_stats": "x"}}}, "feature_stats must be left"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        live_config(tmp_path, **model)

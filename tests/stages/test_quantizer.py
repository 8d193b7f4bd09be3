from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.config import load_config
from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import make_loader
from gsv2.models.component import load_component, save_component
from gsv2.models.quantizer.codebooks import CodebookConfig
from gsv2.models.quantizer.model import Quantizer, QuantizerConfig
from gsv2.nn.codes import CodeConfig
from gsv2.stages.quantizer import QuantizerRunConfig, QuantizerStage
from gsv2.training.config import RunSection, TrainerConfig
from gsv2.training.optim import OptimConfig
from tests.support.hand_made_batches import no_clips

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "quantizer"
CPU = torch.device("cpu")
V = 16
LOSSES = {"reconstruction", "commitment"}
CODEBOOKS = {
    "revived",
    *(f"{term}_{k}" for term in ("perplexity", "usage", "residual_energy") for k in range(2)),
}


def make_config(source: SourceConfig, **codebooks: float) -> QuantizerRunConfig:
    return QuantizerRunConfig(
        stage="quantizer",
        run=RunSection(name="test"),
        data=DataConfig(
            sources=[source], lanes=2, micro_batches_per_step=2, max_frames=150, max_clips=1
        ),
        trainer=TrainerConfig(max_steps=20),
        model=QuantizerConfig(
            codes=CodeConfig(levels=2, codebook_size=V, dim=8),
            codebooks=CodebookConfig(kmeans_iterations=5, **codebooks),
            speech_encoder=SpeechEncoderConfig(num_mels=20),
            width=32,
            num_blocks=1,
            kernel_size=3,
        ),
        optim={"quantizer": OptimConfig(lr=5e-3)},
    )


def make_stage(
    tiny_corpus, initialise: bool = True, **codebooks: float
) -> tuple[QuantizerStage, list[Batch]]:
    config = make_config(tiny_corpus.source, **codebooks)
    torch.manual_seed(0)
    stage = QuantizerStage(config, CPU)
    batches = [batch for batch, _ in zip(endless(config), range(6), strict=False)]
    if initialise:
        stage.initialise(endless(config))
    return stage, batches


def endless(config: QuantizerRunConfig) -> Iterator[Batch]:
    index = CorpusIndex.open(*config.data.sources)
    return iter(make_loader(Plan(index, config.data, 0, QuantizerStage.members)))


def take_step(stage: QuantizerStage, batches: list[Batch]) -> list[dict[str, torch.Tensor]]:
    """Drive the updates of one step as the Trainer does."""
    trainable = stage.trainables["quantizer"]
    slots = [stage.updates(batch, 1) for batch in batches]
    metrics = []
    for slot in slots:
        update = next(slot)
        (update.loss / len(batches)).backward()
        metrics.append({"quantizer/loss": update.loss.detach(), **update.metrics})
    trainable.optimizer.step()
    trainable.optimizer.zero_grad()
    assert all(next(slot, None) is None for slot in slots)
    return metrics


def test_an_update_reports_losses_and_codebooks(tiny_corpus) -> None:
    stage, batches = make_stage(tiny_corpus)
    (update,) = stage.updates(batches[0], step=1)
    assert update.trainable == "quantizer"
    assert set(update.metrics) == {f"quantizer/{term}" for term in LOSSES | CODEBOOKS}
    assert all(torch.isfinite(v) and not v.requires_grad for v in update.metrics.values())
    frames = int((batches[0].wave_lengths // 640).sum())
    assert stage.num_targets(batches[0]) == {"quantizer": frames}


def test_training_lowers_the_error_that_validation_reports(tiny_corpus) -> None:
    stage, batches = make_stage(tiny_corpus)
    before = stage.validate(batches[0])
    assert set(before) == {
        f"quantizer/{term}"
        for term in LOSSES | {"loss", "feature_error", "perplexity_share_0", "perplexity_share_1"}
    }
    for _ in range(15):
        take_step(stage, batches[:2])
    after = stage.validate(batches[0])
    assert after["quantizer/feature_error"] < 0.6 * before["quantizer/feature_error"]
    assert 0 < after["quantizer/perplexity_share_0"] <= 1


def test_codebooks_move_once_a_step_after_all_micro_batches(tiny_corpus) -> None:
    stage, batches = make_stage(tiny_corpus)
    codebooks = stage.quantizer.codebooks
    entries = codebooks.entries
    slots = [stage.updates(batch, 1) for batch in batches[:2]]
    outputs = [next(slot) for slot in slots]
    assert torch.equal(codebooks.entries, entries)
    next(slots[0], None)
    moved = codebooks.entries
    assert not torch.equal(moved, entries)
    next(slots[1], None)
    assert torch.equal(codebooks.entries, moved)
    assert len(outputs) == 2


def test_the_order_of_micro_batches_in_a_step_does_not_matter(tiny_corpus) -> None:
    entries = []
    for order in (slice(None), slice(None, None, -1)):
        stage, batches = make_stage(tiny_corpus, dead_share=0.0)
        take_step(stage, batches[:3][order])
        entries.append(stage.quantizer.codebooks.entries)
    torch.testing.assert_close(*entries)


def test_the_reservoir_is_an_epoch_at_most_and_starts_codebooks_and_statistics(tiny_corpus) -> None:
    stage, _ = make_stage(tiny_corpus, initialise=False)
    seen = []

    def watched() -> Iterator[Batch]:
        for batch in endless(make_config(tiny_corpus.source)):
            seen.append(batch)
            yield batch

    stage.initialise(watched())
    assert [batch.epoch for batch in seen[:-1]] == [0] * (len(seen) - 1)
    assert seen[-1].epoch == 1
    assert stage.quantizer.codebooks.initialised
    assert stage.quantizer.feature_std.min() > 0
    targets = sum(stage.num_targets(batch)["quantizer"] for batch in seen[:-1])
    per_step = stage.quantizer.codebooks.cluster_sizes.sum(dim=1)
    expected = torch.full((2,), targets / 2 / (len(seen) - 1) * 2)
    torch.testing.assert_close(per_step, expected, rtol=0.05, atol=0)


def test_a_large_corpus_fills_the_reservoir_only(tiny_corpus) -> None:
    stage, _ = make_stage(tiny_corpus, initialise=False, reservoir_per_entry=1)
    batches = endless(make_config(tiny_corpus.source))
    stage.initialise(batches)
    assert next(batches).epoch == 0


def test_a_batch_without_clips_gives_zero_and_a_gradient_for_every_parameter(tiny_corpus) -> None:
    stage, _ = make_stage(tiny_corpus)
    entries = stage.quantizer.codebooks.entries
    (update,) = stage.updates(no_clips(), step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    assert all(p.grad is not None and not p.grad.any() for p in stage.quantizer.parameters())
    assert stage.num_targets(no_clips()) == {"quantizer": 0}
    assert all(torch.isfinite(value) for value in stage.validate(no_clips()).values())
    assert torch.isfinite(stage.quantizer.codebooks.entries).all()
    torch.testing.assert_close(stage.quantizer.codebooks.entries, entries, rtol=1e-3, atol=1e-4)


def test_the_same_seed_gives_the_same_metrics(tiny_corpus) -> None:
    runs = []
    for _ in range(2):
        stage, batches = make_stage(tiny_corpus, dead_share=0.5)
        torch.manual_seed(1)
        runs.append([take_step(stage, batches[:2]) for _ in range(3)])
    assert runs[0] == runs[1]


def test_the_component_carries_the_hash_of_the_codebooks_as_they_are(tiny_corpus, tmp_path) -> None:
    stage, batches = make_stage(tiny_corpus)
    trainable = stage.trainables["quantizer"]
    before = dict(trainable.provenance)
    take_step(stage, batches[:1])
    assert dict(trainable.provenance) == {"quantizer": stage.quantizer.fingerprint()} != before
    assert trainable.provenance.get("gpt") is None
    save_component(
        tmp_path / "q.safetensors",
        trainable.module,
        kind=trainable.kind,
        config=trainable.config,
        provenance=trainable.provenance,
    )
    component = load_component(tmp_path / "q.safetensors", "quantizer")
    loaded = Quantizer.from_component(component)
    assert component.provenance == {"quantizer": loaded.fingerprint()}
    features = stage.speech_encoder(batches[0].wave, batches[0].wave_lengths)
    assert torch.equal(loaded.encode(*features), stage.quantizer.encode(*features))


def test_an_optimizer_for_something_else_is_refused(tiny_corpus) -> None:
    config = replace(make_config(tiny_corpus.source), optim={"gpt": OptimConfig()})
    with pytest.raises(ValueError, match="optim must have quantizer only"):
        QuantizerStage(config, CPU)


@pytest.mark.parametrize(("name", "num_codebooks"), [("debug", 2), ("small", 2), ("base", 4)])
def test_shipped_configs_load(name: str, num_codebooks: int) -> None:
    config = load_config(CONFIGS / f"{name}.yaml", [], {"quantizer": QuantizerRunConfig})
    assert isinstance(config, QuantizerRunConfig)
    assert config.model.codes.num_codebooks == num_codebooks
    assert config.model.codes.rate_hz == 25.0


def test_panels_show_features_what_comes_back_and_the_distance(tiny_corpus) -> None:
    stage, batches = make_stage(tiny_corpus)
    stage.quantizer.eval()
    panels = stage.panels(batches[0])
    assert [panel.name for panel in panels] == list(batches[0].keys)
    for panel, samples in zip(panels, batches[0].wave_lengths, strict=True):
        features, back, error = (
            panel.images[name] for name in ("features", "through_codes", "error")
        )
        assert features.shape == (stage.speech_encoder.dim, int(samples) // 640)
        assert torch.equal(error, (back - features).abs())

"""The GPT stage on sequences packed into rows."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.data.config import DataConfig
from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.plan.plan import Plan
from gsv2.data.stream.batch import Batch
from gsv2.data.stream.loader import make_loader
from gsv2.models.gpt.interleave import PackedRows
from gsv2.stages.gpt import GPTStage
from gsv2.training.validation import validate
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_gpt import V, code_batch, make_config, save_quantizer

CPU = torch.device("cpu")
R, L = 3, 80
PATTERNS = ["depth", "delay", "parallel", "flatten", "nar"]


@pytest.fixture(scope="module")
def quantizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_quantizer(tmp_path_factory.mktemp("quantizer") / "quantizer.safetensors")


def make_stage(quantizer_file: Path, pattern: str = "depth", loss_clips: str = "all") -> GPTStage:
    torch.manual_seed(0)
    data = {"batching": "pack", "row_tokens": L, "max_tokens": R * L}
    return GPTStage(make_config(quantizer_file, pattern, data, loss_clips=loss_clips), CPU)


def packed_batch(k: int, row: tuple[int, ...] = (0, 0, 0, 2, 2, 2)) -> Batch:
    """Return micro-batch k: sequences of 2, 1, 2 and 1 clips, the second row without any."""
    return code_batch(
        [3, 5, 4, 2 + k, 6, 1],
        sequence=[0, 0, 1, 2, 2, 3],
        seed=k,
        micro_batch=k,
        texts=("one", "two", "три", "four", "五", "six"),
        packed_row=torch.tensor(row),
        num_packed_rows=R,
        row_tokens=L,
    )


def unpack(batch: Batch) -> Batch:
    return replace(batch, packed_row=None, num_packed_rows=0, row_tokens=0)


def train(stage: GPTStage, batches: list[Batch]) -> list[float]:
    """Return the loss of each batch, one optimizer step after the other."""
    trainable = stage.trainables["gpt"]
    losses = []
    for step, batch in enumerate(batches, start=1):
        for update in stage.updates(batch, step):
            update.loss.backward()
            losses.append(float(update.loss.detach()))
        trainable.optimizer.step()
        trainable.optimizer.zero_grad(set_to_none=True)
    return losses


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("loss_clips", ["all", "last"])
def test_three_steps_on_packed_rows_train_as_three_on_padded_sequences(
    quantizer_file, pattern, loss_clips
):
    batches = [packed_batch(k) for k in range(3)]
    packed = make_stage(quantizer_file, pattern, loss_clips)
    padded = make_stage(quantizer_file, pattern, loss_clips)
    losses = train(packed, batches)
    assert losses == pytest.approx(train(padded, [unpack(b) for b in batches]), abs=1e-5)
    assert losses[0] != losses[1] != losses[2]
    assert [packed.num_targets(b) for b in batches] == [
        padded.num_targets(unpack(b)) for b in batches
    ]


@pytest.mark.parametrize("row", [(0,) * 6, (2,) * 6, (0, 0, 1, 2, 2, 2)])
def test_metrics_do_not_depend_on_how_sequences_are_packed(quantizer_file, row):
    stage = make_stage(quantizer_file)
    expected = stage.validate(unpack(packed_batch(0)))
    metrics = stage.validate(packed_batch(0, row))
    assert set(metrics) == set(expected)
    for name, value in metrics.items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)


class OneRank:
    """What `validate` asks of `Distributed`, without a process group."""

    device = CPU

    def gather(self, value: object) -> list[object]:
        return [value]


def test_a_validation_over_rows_equals_one_over_padded_sequences(quantizer_file):
    stage = make_stage(quantizer_file)
    packed = [packed_batch(0), packed_batch(1), no_clips(num_packed_rows=R, row_tokens=L)]
    padded = [unpack(batch) for batch in packed]
    of_rows, of_padded = (validate(stage, b, OneRank(), seed=0) for b in (packed, padded))
    assert of_rows == pytest.approx(of_padded, abs=1e-5)
    assert of_rows["validation/gpt/loss"] > 0


def test_rows_without_any_clip_give_zero_and_a_gradient_for_every_parameter(quantizer_file):
    stage = make_stage(quantizer_file)
    batch = no_clips(packed_row=torch.zeros(0, dtype=torch.int64), num_packed_rows=R, row_tokens=L)
    (update,) = stage.updates(batch, step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    gradients = [p.grad for p in stage.model.parameters()]
    assert all(g is not None and not g.any() for g in gradients)
    assert stage.num_targets(batch) == {"gpt": 0}


def test_shapes_are_those_of_the_rows_whatever_is_packed(quantizer_file):
    stage = make_stage(quantizer_file)
    shapes = set()
    stage.model.backbone.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.add(tuple(kwargs["inputs_embeds"].shape)), with_kwargs=True
    )
    for batch in (
        packed_batch(0),
        packed_batch(1, (1,) * 6),
        no_clips(num_packed_rows=R, row_tokens=L),
    ):
        next(stage.updates(batch, step=1))
    assert shapes == {(1, R * L, 32)}


def test_the_engine_gets_what_is_packed_from_the_batch(quantizer_file):
    stage = make_stage(quantizer_file)
    seen: list[PackedRows] = []
    stage.trainables["gpt"].module.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    for batch in (packed_batch(0), unpack(packed_batch(0))):
        next(stage.updates(batch, step=1))
    assert [seen[0].num_rows, seen[0].row_tokens, seen[0].row.tolist()] == [
        R,
        L,
        [0, 0, 0, 2, 2, 2],
    ]
    assert seen[1] is None


def test_clips_that_exceed_their_row_stop_with_the_options_to_change(quantizer_file):
    stage = make_stage(quantizer_file)
    batch = replace(packed_batch(0), row_tokens=20)
    with pytest.raises(ValueError, match=r"data\.row_tokens \(20\).*data\.clip_overhead_tokens"):
        stage.validate(batch)


@pytest.mark.parametrize(("pattern", "overhead"), [("depth", 2), ("delay", 3), ("flatten", 2)])
def test_rows_of_the_plan_hold_their_clips_at_the_smallest_count(
    quantizer_file, tiny_corpus, pattern, overhead
):
    data = DataConfig(
        sources=[tiny_corpus.source_with_codes],
        lanes=2,
        batching="pack",
        row_tokens=256,
        max_tokens=512,
        steps_per_frame=2 if pattern == "flatten" else 1,
        clip_overhead_tokens=overhead,
    )
    config = replace(make_config(quantizer_file, pattern), data=data)
    stage = GPTStage(config, CPU)
    plan = Plan(CorpusIndex.open(*data.sources), data, 0, GPTStage.members)
    grids: list[torch.Tensor] = []
    stage.model.backbone.register_forward_pre_hook(
        lambda _, args, kwargs: grids.append(kwargs["inputs_embeds"].detach()), with_kwargs=True
    )
    for batch, _ in zip(make_loader(plan), range(6), strict=False):
        next(stage.updates(replace(batch, codes=batch.codes % V), step=1))
        assert grids[-1].shape == (1, 2 * 256, 32)
        used = (grids[-1] != 0).any(dim=2).double().mean()  # nothing is placed at padding
        assert float(used) == pytest.approx(1 - batch.padding)

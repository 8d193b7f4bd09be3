"""Training of a GPT that reads by a pointer."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gsv2.data.corpus.index import CorpusIndex
from gsv2.data.stream.batch import Batch
from gsv2.inference.clip_aligner import ClipAligner
from gsv2.losses.advance import advance_loss
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.model import GPTConfig, GPTInputs
from gsv2.stages import members_of
from gsv2.stages.gpt import GPTStage
from gsv2.stages.sources import CodesMismatchError, check_codes
from tests.support.hand_made_batches import no_clips
from tests.support.tiny_aligner import save_aligner
from tests.support.tiny_gpt import V, code_batch, make_config, save_quantizer

CPU = torch.device("cpu")
READINGS = ["pointer", "both"]


@pytest.fixture
def quantizer_file(tmp_path: Path) -> Path:
    return save_quantizer(tmp_path / "quantizer.safetensors")


@pytest.fixture
def aligner_file(tmp_path: Path, quantizer_file: Path) -> Path:
    path = tmp_path / "aligner.safetensors"
    hash_ = GPTStage(make_config(quantizer_file), CPU).quantizer_hash
    save_aligner(path, hash_, codebook_size=V)
    return path


def make_stage(quantizer_file, aligner_file, reading, pattern="depth", data=None, **model):
    config = make_config(quantizer_file, pattern, data)
    gpt = replace(config.model.gpt, reading=reading)
    section = replace(config.model, gpt=gpt, aligner=str(aligner_file), **model)
    return GPTStage(replace(config, model=section), CPU)


def make_batch() -> Batch:
    alignments = torch.tensor([[0, 1, 2, -1, -1], [0, 0, 1, 2, 2], [0, 1, 1, 2, -1]])
    return code_batch(
        [3, 5, 4], sequence=[0, 0, 1], texts=("one", "two", "三つ."), alignments=alignments
    )


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("pattern", ["depth", "delay", "parallel", "flatten", "nar"])
def test_the_loss_is_that_of_codes_plus_the_weighted_one_of_moves(
    quantizer_file, aligner_file, reading, pattern
):
    stage = make_stage(quantizer_file, aligner_file, reading, pattern, advance_weight=0.3)
    batch = make_batch()
    (update,) = stage.updates(batch, step=1)
    tokens = stage.model.text_encoder.tokenize(batch.texts)
    clips = (batch.codes, batch.code_lengths, batch.sequence)
    output = stage.model(GPTInputs(*tokens, *clips, alignments=batch.alignments))
    codes = code_prediction_loss(output.logits, output.targets, stage.weights, stage.model.end)
    moves = advance_loss(output.advance_logits, output.advance_targets)
    torch.testing.assert_close(update.loss, codes.loss + 0.3 * moves)
    torch.testing.assert_close(update.metrics["gpt/loss_advance"], moves.detach())
    torch.testing.assert_close(update.metrics["gpt/loss"], codes.loss.detach())
    assert len(output.advance_targets) == stage.num_targets(batch)["gpt"] == 12


@pytest.mark.parametrize("reading", READINGS)
def test_a_batch_without_clips_gives_zero_and_a_gradient_for_every_parameter(
    quantizer_file, aligner_file, reading
):
    stage = make_stage(quantizer_file, aligner_file, reading)
    (update,) = stage.updates(no_clips(), step=1)
    update.loss.backward()
    assert float(update.loss.detach()) == 0
    gradients = [p.grad for p in stage.model.parameters()]
    assert all(g is not None and not g.any() for g in gradients)


def test_a_pointer_reads_alignments_and_carries_the_hash_of_their_aligner(
    quantizer_file, aligner_file
):
    attention = GPTStage(make_config(quantizer_file), CPU)
    assert attention.members == ("codes",)
    stage = make_stage(quantizer_file, aligner_file, "pointer")
    assert stage.members == ("codes", "align")
    config = make_config(quantizer_file)
    section = replace(
        config.model, gpt=replace(config.model.gpt, reading="both"), aligner=str(aligner_file)
    )
    assert members_of(config) == ("codes",)
    assert members_of(replace(config, model=section)) == ("codes", "align")
    (trainable,) = stage.trainables.values()
    aligner = save_aligner(aligner_file, stage.quantizer_hash, codebook_size=V)
    assert trainable.provenance["aligner"] == aligner.fingerprint()


def test_codes_may_be_aligned_by_that_aligner_or_by_nobody(quantizer_file, aligner_file):
    stage = make_stage(quantizer_file, aligner_file, "pointer")
    assert isinstance(stage.align_clip, ClipAligner)
    assert GPTStage(make_config(quantizer_file), CPU).align_clip is None
    own = stage.trainables["gpt"].provenance["aligner"]

    def check(*aligners):
        shards = [SimpleNamespace(aligner=aligner, texts=None) for aligner in aligners]
        check_codes(CorpusIndex(shards, stage.quantizer_hash, None), stage, "data.sources")

    check(own)
    check(None)
    check(own, None)
    with pytest.raises(
        CodesMismatchError, match=r"aligned by \w+, .* are by another; .* gsv2 align"
    ):
        check(own, "another", None)
    stage.align_clip = None
    with pytest.raises(CodesMismatchError, match=r"aligned by \w+, .* by another and nobody"):
        check("another", None)


def test_a_pointer_without_an_aligner_is_refused(quantizer_file):
    config = make_config(quantizer_file)
    with pytest.raises(ValueError, match=r"model\.aligner must name the aligner .* is None"):
        replace(config.model, gpt=GPTConfig(reading="both"))


def test_an_aligner_of_other_codes_is_refused(quantizer_file, aligner_file):
    save_aligner(aligner_file, "another quantizer", codebook_size=V)
    with pytest.raises(ValueError, match=r"must be trained on the codes of model\.quantizer"):
        make_stage(quantizer_file, aligner_file, "pointer")


def test_text_costs_tokens_where_it_stands_in_the_sequence_and_nowhere_else(
    quantizer_file, aligner_file
):
    counts = {}
    for reading in READINGS:
        stage = make_stage(quantizer_file, aligner_file, reading)
        counts[reading] = stage.workload(make_batch()).tokens
        assert stage.flops(make_batch())["gpt"] > 0
    assert counts == {"pointer": 3 * 2 + 12, "both": 3 * 2 + 12 + 3 + 3 + 7}
    make_stage(quantizer_file, aligner_file, "pointer", data={"tokens_per_text_byte": 0})
    with pytest.raises(ValueError, match=r"tokens_per_text_byte must be 1 for model\.gpt\.reading"):
        make_stage(quantizer_file, aligner_file, "both", data={"tokens_per_text_byte": 0})

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.config import config_to_dict
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.component import load_component, save_component
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.model import GPTConfig, GPTInputs, GPTOutput, SemanticGPT
from gsv2.models.gpt.patterns import make_pattern
from gsv2.nn.codes import NO_CODE, CodeConfig
from tests.support.recomputation import assert_recomputing_changes_nothing_but_memory

NAMES = ["depth", "parallel", "delay", "flatten", "nar"]
V = 16
TINY = BackboneConfig(dim=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=48)


def make_gpt(pattern: str = "depth", num_codebooks: int = 2, **changes: object) -> SemanticGPT:
    torch.manual_seed(0)
    codes = CodeConfig(levels=num_codebooks, codebook_size=V, dim=8)
    config = GPTConfig(
        backbone=TINY, depth=replace(TINY, num_layers=1), pattern=pattern, codes=codes, **changes
    )
    model = SemanticGPT(config)
    model.set_codebooks(torch.randn(num_codebooks, V, 8))
    return model


def make_clips(model: SemanticGPT, texts: list[str], lengths: list[int]) -> list[Tensor]:
    torch.manual_seed(1)
    tokens = model.text_encoder.tokenize(texts)
    codes = torch.randint(V, (len(texts), model.pattern.num_codebooks, max(lengths)))
    for row, length in zip(codes, lengths, strict=True):
        row[:, length:] = NO_CODE
    return [tokens.ids, tokens.lengths, codes, torch.tensor(lengths)]


def logit_table(output: GPTOutput, lengths: list[int]) -> dict[tuple[int, int, int], Tensor]:
    """(clip, codebook, frame) -> logits; the end counts as the frame after the last."""
    table = {}
    for k, logits in enumerate(output.logits):
        places = [(c, t) for c, T in enumerate(lengths) for t in range(T + (k == 0))]
        for (c, t), row in zip(places, logits, strict=True):
            table[c, k, t] = row
    return table


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("num_codebooks", "lengths"), [(1, [3, 4]), (2, [3, 4]), (4, [2, 3]), (8, [1, 2])]
)
def test_a_logit_sees_exactly_the_codes_that_come_before_it(name, num_codebooks, lengths):
    model = make_gpt(name, num_codebooks).eval()
    ids, text_lengths, codes, code_lengths = make_clips(model, ["ab", "c"], lengths)
    sequence = torch.tensor([0, 0])
    step = {"depth": (1, 0), "parallel": (1, 0), "delay": (1, 1), "flatten": (num_codebooks, 1)}
    stride, lag = step.get(name, (1, 0))

    def time_of(c: int, k: int, t: int) -> tuple[int, ...]:
        return (c, stride * t + lag * k, *([k] if name == "depth" else []))

    def is_before(code: tuple[int, int, int], place: tuple[int, int, int]) -> bool:
        """Of `nar`: codebook 0 sees what it has said, pass k the passes before it, and prompts."""
        if name != "nar":
            return time_of(*code) < time_of(*place)
        (c, k, t), (own, of, frame) = code, place
        if of == 0:
            return k == 0 and (c, t) < (own, frame)
        return c < own or (c == own and k < of)

    with torch.no_grad():
        before = logit_table(
            model(GPTInputs(ids, text_lengths, codes, code_lengths, sequence)), lengths
        )
        for c, T in enumerate(lengths):
            for k in range(num_codebooks):
                for t in range(T):
                    changed = codes.clone()
                    changed[c, k, t] = (codes[c, k, t] + 1) % V
                    output = model(GPTInputs(ids, text_lengths, changed, code_lengths, sequence))
                    after = logit_table(output, lengths)
                    for place, logits in before.items():
                        seen = not torch.equal(logits, after[place])
                        assert seen == is_before((c, k, t), place), (place, (c, k, t))


def test_a_text_is_seen_by_its_own_clip_and_later_ones_only():
    model = make_gpt().eval()
    ids, text_lengths, codes, code_lengths = make_clips(model, ["ab", "cd"], [2, 2])
    sequence = torch.tensor([0, 0])
    before = logit_table(model(GPTInputs(ids, text_lengths, codes, code_lengths, sequence)), [2, 2])
    ids[1, 1] += 1
    after = logit_table(model(GPTInputs(ids, text_lengths, codes, code_lengths, sequence)), [2, 2])
    for (c, k, t), logits in before.items():
        assert torch.equal(logits, after[c, k, t]) == (c == 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_alone_equals_the_sequence_in_a_batch(name):
    model = make_gpt(name, 3).eval()
    lengths = [3, 9, 5]
    ids, text_lengths, codes, code_lengths = make_clips(model, ["abcdefg", "h", "ijk"], lengths)
    table = logit_table(
        model(GPTInputs(ids, text_lengths, codes, code_lengths, torch.tensor([0, 1, 1]))), lengths
    )
    alone = model(
        GPTInputs(ids[:1], text_lengths[:1], codes[:1, :, :3], code_lengths[:1], torch.tensor([0]))
    )
    for (_, k, t), logits in logit_table(alone, lengths[:1]).items():
        torch.testing.assert_close(logits, table[0, k, t], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["depth", "delay"])
def test_loss_equals_a_loop_over_clips_and_frames(name):
    model = make_gpt(name).eval()
    lengths = [3, 6, 4]
    clips = make_clips(model, ["ab", "cde", "f"], lengths)
    with torch.no_grad():
        output = model(GPTInputs(*clips, torch.tensor([0, 0, 1])))
    loss, metrics = code_prediction_loss(output.logits, output.targets, [1.0, 1.0], model.end)
    table = logit_table(output, lengths)
    sums = [0.0, 0.0, 0.0]
    for (c, k, t), logits in table.items():
        is_end = t == lengths[c]
        target = torch.tensor(model.end) if is_end else clips[2][c, k, t]
        sums[2 if is_end else k] += float(F.cross_entropy(logits, target))
    assert float(loss) == pytest.approx(sum(sums) / 2 / sum(lengths), rel=1e-4)
    assert float(metrics["loss_0"]) == pytest.approx(sums[0] / sum(lengths), rel=1e-4)
    assert float(metrics["loss_1"]) == pytest.approx(sums[1] / sum(lengths), rel=1e-4)
    assert float(metrics["loss_end"]) == pytest.approx(sums[2] / 3, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("audio_input", ["vq", "learned"])
def test_one_call_gives_every_parameter_a_gradient(name, audio_input):
    model = make_gpt(name, 2, audio_input=audio_input)
    output = model(GPTInputs(*make_clips(model, ["ab", "c"], [1, 1]), torch.tensor([0, 1])))
    code_prediction_loss(output.logits, output.targets, [1.0, 1.0], model.end).loss.backward()
    without = [key for key, value in model.named_parameters() if value.grad is None]
    assert not without


def test_the_base_model_has_about_0_3_billion_parameters():
    with torch.device("meta"):
        model = SemanticGPT(GPTConfig())
    assert 0.25e9 < sum(p.numel() for p in model.parameters()) < 0.35e9


def test_a_component_file_gives_the_same_model_back(tmp_path):
    model = make_gpt(dropout=0.1).eval()
    path = tmp_path / "gpt.safetensors"
    save_component(
        path, model, kind="gpt", config=config_to_dict(model.config), provenance={"quantizer": "q"}
    )
    loaded = SemanticGPT.from_component(load_component(path, "gpt"))
    clips = make_clips(model, ["ab"], [4])
    for a, b in zip(
        model(GPTInputs(*clips, torch.tensor([0]))).logits,
        loaded(GPTInputs(*clips, torch.tensor([0]))).logits,
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["depth", "delay"])
def test_a_few_clips_can_be_learnt_by_heart(name):
    model = make_gpt(name)
    rng = random.Random(0)
    texts = ["".join(rng.choices("abcdef", k=6)) for _ in range(4)]
    clips = make_clips(model, texts, [5, 6, 7, 8])
    sequence = torch.tensor([0, 0, 1, 2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        output = model(GPTInputs(*clips, sequence))
        result = code_prediction_loss(output.logits, output.targets, [1.0, 1.0], model.end)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
    assert float(result.loss.detach()) < 0.1
    assert float(result.metrics["loss_end"]) < 0.3


@pytest.mark.parametrize("heads", [3, 16])
def test_heads_that_do_not_divide_the_width_are_refused(heads):
    with pytest.raises(ValueError, match=r"num_heads must divide dim \(40\)"):
        BackboneConfig(dim=40, num_heads=heads)


def test_pattern_and_model_agree_on_what_is_predicted():
    model = make_gpt("delay", 3)
    clips = make_clips(model, ["ab"], [4])
    output = model(GPTInputs(*clips, torch.tensor([0])))
    steps = make_pattern("delay", 3).to_steps(clips[2], clips[3], model.end)
    for k, targets in enumerate(output.targets):
        assert torch.equal(targets, steps[0, k][steps[0, k] != NO_CODE])


def test_recomputed_layers_have_the_same_gradients_with_dropout():
    model = make_gpt(dropout=0.3)
    clips = make_clips(model, ["ab", "c"], [3, 4])

    def loss():
        torch.manual_seed(2)
        logits = model(GPTInputs(*clips, torch.tensor([0, 0]))).logits
        return sum(table.float().square().mean() for table in logits)

    assert_recomputing_changes_nothing_but_memory(model, loss)


def test_depth_of_some_frames_is_right_on_average_and_validation_takes_all():
    model = make_gpt("depth", 3, depth_frames=0.25)
    lengths = [9, 14]
    clips = GPTInputs(*make_clips(model, ["ab", "c"], lengths), torch.tensor([0, 1]))

    def gradient() -> tuple[float, Tensor]:
        model.zero_grad()
        output = model(clips)
        loss = code_prediction_loss(output.logits, output.targets, [1.0, 1.0, 1.0], model.end).loss
        loss.backward()
        return float(loss.detach()), model.head.input.weight.grad.clone()

    model.eval()
    exact, wanted = gradient()
    model.train()
    assert model.num_sampled(sum(lengths)) == 6
    assert [len(t) for t in model(clips).targets] == [sum(lengths) + 2, 6, 6]
    drawn = [gradient() for _ in range(300)]
    losses, gradients = zip(*drawn, strict=True)
    assert len(set(losses)) > 100
    assert sum(losses) / len(losses) == pytest.approx(exact, rel=0.01)
    mean = torch.stack(gradients).mean(dim=0)
    assert (mean - wanted).norm() < 0.1 * wanted.norm()


def test_a_share_of_frames_without_a_depth_transformer_is_refused():
    with pytest.raises(ValueError, match=r"depth_frames must be 1 for pattern=nar"):
        GPTConfig(pattern="nar", depth_frames=0.5)
    with pytest.raises(ValueError, match=r"depth_frames must lie in \(0, 1\], but is 0"):
        GPTConfig(depth_frames=0.0)

"""The whole GPT that reads by a pointer, alone or beside attention."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.losses.advance import advance_loss
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.interleave import PackedRows
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from tests.models.gpt.test_model import NAMES, V, logit_table, make_clips, make_gpt

READINGS = ["pointer", "both"]
STRIDE_AND_LAG = {"depth": (1, 0), "parallel": (1, 0), "delay": (1, 1), "flatten": (2, 1)}


def make_alignments(texts: list[str], lengths: list[int]) -> Tensor:
    """Return [C, T] alignments from the first to the last character."""
    rows = torch.full((len(texts), max(lengths)), -1)
    for row, text, length in zip(rows, texts, lengths, strict=True):
        row[:length] = torch.linspace(0, len(text) - 1, length).round().long()
    return rows


def aligned_clips(model: SemanticGPT, texts: list[str], lengths: list[int]) -> dict[str, Tensor]:
    names = ("text", "text_lengths", "codes", "code_lengths")
    clips = dict(zip(names, make_clips(model, texts, lengths), strict=True))
    return {**clips, "alignments": make_alignments(texts, lengths)}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", list(STRIDE_AND_LAG))
def test_a_logit_sees_exactly_the_codes_before_it_and_a_move_those_of_its_frame_too(name, reading):
    model = make_gpt(name, 2, reading=reading).eval()
    lengths = [3, 4]
    clips = aligned_clips(model, ["ab", "cd"], lengths)
    sequence = torch.tensor([0, 0])
    stride, lag = STRIDE_AND_LAG[name]

    def time_of(c: int, k: int, t: int) -> tuple[int, ...]:
        return (c, stride * t + lag * k, *([k] if name == "depth" else []))

    def run(codes: Tensor) -> tuple[dict, dict]:
        output = model(GPTInputs(**{**clips, "codes": codes}, sequence=sequence))
        places = [(c, t) for c, T in enumerate(lengths) for t in range(T)]
        moves = dict(zip(places, output.advance_logits, strict=True))
        return logit_table(output, lengths), moves

    with torch.no_grad():
        before, moves = run(clips["codes"])
        for c, T in enumerate(lengths):
            for k in range(2):
                for t in range(T):
                    changed = clips["codes"].clone()
                    changed[c, k, t] = (changed[c, k, t] + 1) % V
                    after, moves_after = run(changed)
                    for place, logits in before.items():
                        seen = not torch.equal(logits, after[place])
                        assert seen == (time_of(c, k, t) < time_of(*place)), (place, (c, k, t))
                    for (clip, frame), logits in moves.items():
                        seen = not torch.equal(logits, moves_after[clip, frame])
                        last_step = (clip, stride * frame + stride - 1)
                        assert seen == (time_of(c, k, t)[:2] <= last_step)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", list(STRIDE_AND_LAG))
def test_where_the_pointer_is_at_a_frame_is_seen_from_that_frame_on(name, reading):
    model = make_gpt(name, 2, reading=reading).eval()
    lengths = [4, 5]
    clips = aligned_clips(model, ["abcdef", "ghijkl"], lengths)
    sequence = torch.tensor([0, 0])
    with torch.no_grad():
        before = logit_table(model(GPTInputs(**clips, sequence=sequence)), lengths)
        for c, T in enumerate(lengths):
            for frame in range(T):
                changed = clips["alignments"].clone()
                changed[c, frame] = (changed[c, frame] + 3) % 6
                output = model(GPTInputs(**{**clips, "alignments": changed}, sequence=sequence))
                for (clip, k, t), logits in logit_table(output, lengths).items():
                    lag = k if name == "delay" else 0  # codebook k speaks k steps later
                    seen = not torch.equal(logits, before[clip, k, t])
                    assert seen == ((clip, t + lag) >= (c, frame))


@pytest.mark.parametrize("reading", READINGS)
def test_a_text_is_seen_by_its_own_clip_and_later_ones_only(reading):
    model = make_gpt(reading=reading).eval()
    clips = aligned_clips(model, ["ab", "cd"], [2, 2])
    sequence = torch.tensor([0, 0])
    before = logit_table(model(GPTInputs(**clips, sequence=sequence)), [2, 2])
    clips["text"][1, 1] += 1
    after = logit_table(model(GPTInputs(**clips, sequence=sequence)), [2, 2])
    for (c, k, t), logits in before.items():
        assert torch.equal(logits, after[c, k, t]) == (c == 0)


def test_text_leaves_the_sequence_where_the_pointer_alone_reads():
    widths = {}
    for reading in ("attention", "pointer", "both"):
        model = make_gpt(reading=reading)
        clips = aligned_clips(model, ["hello", "you"], [4, 6])
        if reading == "attention":
            del clips["alignments"]
        _, mask = model.embed(GPTInputs(**clips, sequence=torch.tensor([0, 0])))
        widths[reading] = int(mask.sum())
    assert widths == {"attention": 2 * 2 + 8 + 10, "pointer": 2 * 2 + 10, "both": 2 * 2 + 8 + 10}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_alone_equals_the_sequence_in_a_batch(name, reading):
    model = make_gpt(name, 3, reading=reading).eval()
    texts, lengths = ["früher", "h", "ijk"], [3, 9, 5]
    clips = aligned_clips(model, texts, lengths)
    together = model(GPTInputs(**clips, sequence=torch.tensor([0, 1, 1])))
    alone = {key: value[:1] for key, value in clips.items()}
    alone |= {"codes": alone["codes"][:, :, :3], "alignments": alone["alignments"][:, :3]}
    output = model(GPTInputs(**alone, sequence=torch.tensor([0])))
    table = logit_table(together, lengths)
    for (_, k, t), logits in logit_table(output, lengths[:1]).items():
        torch.testing.assert_close(logits, table[0, k, t], atol=1e-4, rtol=1e-4)
    moves = output.advance_logits
    torch.testing.assert_close(moves, together.advance_logits[:3], atol=1e-4, rtol=1e-4)


def loss_of(model: SemanticGPT, output) -> Tensor:
    weights = [1.0] * len(output.logits)
    codes = code_prediction_loss(output.logits, output.targets, weights, model.end).loss
    return codes + advance_loss(output.advance_logits, output.advance_targets)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
def test_packed_logits_moves_and_gradients_equal_the_unpacked_ones(name, reading):
    model = make_gpt(name, 3, reading=reading)
    clips = aligned_clips(model, ["abcд", "c", "d你efg", "hi", "j"], [5, 5, 7, 6, 4])
    sequence = torch.tensor([0, 1, 1, 2, 3])
    rows = PackedRows(torch.tensor([0, 0, 0, 2, 2]), num_rows=3, row_tokens=128)
    unpacked = model(GPTInputs(**clips, sequence=sequence))
    packed = model(GPTInputs(**clips, sequence=sequence), rows=rows)
    pairs = zip(
        (*unpacked.logits, *unpacked.targets, *unpacked[2:]),
        (*packed.logits, *packed.targets, *packed[2:]),
        strict=True,
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    loss_of(model, unpacked).backward()
    expected = {key: value.grad.clone() for key, value in model.named_parameters()}
    model.zero_grad()
    loss_of(model, packed).backward()
    for key, value in model.named_parameters():
        torch.testing.assert_close(value.grad, expected[key], atol=1e-5, rtol=1e-4, msg=key)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
def test_one_call_gives_every_parameter_a_gradient(name, reading):
    model = make_gpt(name, 2, reading=reading)
    output = model(
        GPTInputs(**aligned_clips(model, ["ab", "c"], [1, 1]), sequence=torch.tensor([0, 1]))
    )
    loss_of(model, output).backward()
    assert not [key for key, value in model.named_parameters() if value.grad is None]


@pytest.mark.parametrize("reading", READINGS)
def test_predicting_some_clips_gives_the_moves_of_those_alone(reading):
    model = make_gpt(reading=reading).eval()
    lengths = [3, 5, 2]
    clips = aligned_clips(model, ["ab", "cde", "f"], lengths)
    sequence = torch.tensor([0, 0, 1])
    is_target = torch.tensor([False, True, True])
    everything = model(GPTInputs(**clips, sequence=sequence))
    some = model(GPTInputs(**clips, sequence=sequence), is_target=is_target)
    torch.testing.assert_close(some.advance_logits, everything.advance_logits[3:])
    assert torch.equal(some.advance_targets, everything.advance_targets[3:])


def test_moves_lead_from_each_frame_to_the_next_and_past_the_text_at_the_end():
    model = make_gpt(reading="pointer")
    clips = aligned_clips(model, ["abc", "你好"], [5, 2])
    clips["alignments"] = torch.tensor([[0, 0, 1, 2, 2], [0, 1, -1, -1, -1]])
    output = model(GPTInputs(**clips, sequence=torch.tensor([0, 1])))
    assert output.advance_targets.tolist() == [0, 1, 1, 0, 1, 1, 1]
    nats = F.cross_entropy(output.advance_logits, output.advance_targets)
    torch.testing.assert_close(advance_loss(output.advance_logits, output.advance_targets), nats)
    assert float(advance_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))) == 0


def test_a_pointer_without_alignments_is_refused():
    model = make_gpt(reading="both")
    clips = make_clips(model, ["ab"], [3])
    with pytest.raises(ValueError, match="alignments must be given for reading=both"):
        model(GPTInputs(*clips, torch.tensor([0])))


@pytest.mark.parametrize("name", ["depth", "delay"])
def test_a_few_clips_and_their_moves_can_be_learnt_by_heart(name):
    model = make_gpt(name, reading="pointer")
    clips = aligned_clips(model, ["abcdef", "fedcba", "bdf", "aacc"], [9, 8, 7, 8])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        output = model(GPTInputs(**clips, sequence=torch.tensor([0, 0, 1, 2])))
        loss = loss_of(model, output)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.2
    right = output.advance_logits.argmax(dim=1) == output.advance_targets
    assert float(right.float().mean()) > 0.95


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", NAMES)
def test_frames_of_padding_behind_the_longest_clip_change_nothing(name, reading):
    model = make_gpt(name, 2, reading=reading).eval()
    clips = aligned_clips(model, ["ab", "cde"], [3, 4])
    wider = {key: F.pad(clips[key], (0, 5), value=-1) for key in ("codes", "alignments")}
    sequence = torch.tensor([0, 0])
    with torch.no_grad():
        tight = model(GPTInputs(**clips, sequence=sequence))
        wide = model(GPTInputs(**{**clips, **wider}, sequence=sequence))
    torch.testing.assert_close(wide.logits, tight.logits)
    torch.testing.assert_close(wide.advance_logits, tight.advance_logits)
    assert wide.advance_targets.equal(tight.advance_targets)

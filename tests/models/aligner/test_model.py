from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from gsv2.config import config_to_dict
from gsv2.models.aligner.model import Aligner, AlignerOutput, read_logits
from gsv2.models.component import load_component, save_component
from tests.models.aligner.test_characters import TEXTS, classes_of, vocabulary_of
from tests.support.tiny_aligner import CONFIG, V, make_aligner


def make_codes(*shape: int) -> torch.Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("doubled", [[False, False], [False, True], [True, True]])
def test_neither_padding_nor_company_changes_a_clip(doubled: list[bool]) -> None:
    aligner = make_aligner()
    codes, lengths = make_codes(2, 2, 9), torch.tensor([5, 9])
    together = aligner(codes, lengths, torch.tensor(doubled))
    rates = torch.tensor(doubled) + 1
    assert together.lengths.equal(lengths * rates)
    for i, length in enumerate((5, 9)):
        clip = slice(i, i + 1)
        alone = aligner(codes[clip, :, :length], lengths[clip], torch.tensor(doubled[clip]))
        n = int(together.lengths[i])
        torch.testing.assert_close(together.logits[i, :n], alone.logits[0, :n])


def test_a_frame_sees_the_frames_around_it_alone() -> None:
    aligner = make_aligner()
    codes, lengths, once = make_codes(1, 2, 15), torch.tensor([15]), torch.tensor([False])
    changed = codes.clone()
    changed[:, :, 7] = (changed[:, :, 7] + 1) % V
    before, after = (aligner(c, lengths, once).logits for c in (codes, changed))
    differs = (before != after).any(dim=-1)[0]
    assert differs.nonzero().flatten().tolist() == [5, 6, 7, 8, 9]  # 2 blocks of one to each side


def test_the_frame_is_the_mean_of_its_halves_before_the_head() -> None:
    aligner = make_aligner()
    codes, lengths = make_codes(1, 2, 6), torch.tensor([6])
    whole, halves = (aligner(codes, lengths, torch.tensor([d])).logits for d in (False, True))
    assert halves.shape == (1, 12, aligner.vocabulary.num_classes)
    torch.testing.assert_close(halves.unflatten(1, (6, 2)).mean(dim=2), whole)
    assert not torch.allclose(halves[:, ::2], halves[:, 1::2])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_frames_that_say_a_text_are_read_as_it(text: str) -> None:
    vocabulary = vocabulary_of(*TEXTS.values())
    said = torch.tensor(classes_of(vocabulary, text)).repeat_interleave(2)
    # Each character is said twice with a blank between: twice in the reading.
    parted = torch.stack([said, torch.zeros_like(said)], dim=1).flatten()
    for frames, expected in (
        (parted, "".join(2 * c for c in text)),
        (said, "".join(c for c, before in zip(text, "\0" + text, strict=False) if c != before)),
    ):
        logits = F.one_hot(frames, vocabulary.num_classes).float()
        output = AlignerOutput(logits[None], torch.tensor([len(frames)]))
        assert read_logits(output, vocabulary) == [expected]


def test_reading_gives_a_text_for_each_clip() -> None:
    texts = make_aligner().read(make_codes(3, 2, 7), torch.tensor([7, 0, 3]))
    assert len(texts) == 3
    assert texts[1] == ""


def test_a_saved_aligner_is_the_same(tmp_path: Path) -> None:
    aligner = make_aligner()
    aligner.vocabulary.learn({"a": 2, "b": 1})
    path = tmp_path / "aligner.safetensors"
    save_component(path, aligner, kind="aligner", config=config_to_dict(CONFIG), provenance={})
    loaded = Aligner.from_component(load_component(path, "aligner"))
    arguments = make_codes(1, 2, 6), torch.tensor([6]), torch.tensor([False])
    assert loaded(*arguments).logits.equal(aligner(*arguments).logits)
    assert loaded.vocabulary.encode(["ba"]).classes.tolist() == [1, 2]
    assert not loaded.training


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("kernel_size", 4, "kernel_size must be odd, but is 4"),
        ("dropout", 1.0, "dropout must be 0 to 1, but is 1.0"),
        ("num_blocks", 0, "num_blocks must be at least 1, but is 0"),
    ],
)
def test_sizes_that_make_no_network_are_refused(field: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(CONFIG, **{field: value})

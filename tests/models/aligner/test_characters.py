from __future__ import annotations

import unicodedata

import pytest
import torch

from gsv2.models.aligner.characters import (
    BLANK,
    BLANK_COLUMN,
    ENDED,
    NO_CHARACTER,
    NUM_CLASSES,
    NUM_POSITIONS,
    column_log_probs,
    local_vocabulary,
    most_likely_characters,
    required_frames,
)

TEXTS = {
    "chinese": "今天天气很好。",
    "thai": "สวัสดีครับ",
    "devanagari": "नमस्ते दुनिया",
    "arabic": "مرحبا بالعالم",
    "hangul": "안녕하세요",
    "latin": "Gute Nacht, Zoë!",
    "beyond the basic plane": "𠮷🙂",
}


def spoken(text: str, certainty: float = 20.0) -> torch.Tensor:
    """Return logits [T, 4, 257] of frames that say each character of a text in turn."""
    logits = torch.zeros(len(text), NUM_POSITIONS, NUM_CLASSES)
    for frame, character in zip(logits, text, strict=True):
        for k, byte in enumerate(character.encode().ljust(4, b"\xff")):
            frame[k, ENDED if byte == 0xFF else byte] = certainty
    return logits


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_of_any_script_is_read_back(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    assert most_likely_characters(spoken(text)).tolist() == [ord(c) for c in text]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_targets_name_the_characters_of_a_text(text: str) -> None:
    vocabulary = local_vocabulary([text, "a"])
    text = unicodedata.normalize("NFC", text)
    assert vocabulary.lengths.tolist() == [len(text), 1]
    rows = vocabulary.positions[vocabulary.targets[0, : len(text)] - 1].tolist()
    assert "".join(bytes(b for b in row if b != ENDED).decode() for row in rows) == text
    assert not vocabulary.targets[1, 1:].any()


def test_equal_texts_in_other_unicode_forms_have_equal_characters() -> None:
    forms = [unicodedata.normalize(form, "안녕 Zoë") for form in ("NFC", "NFD")]
    vocabulary = local_vocabulary(forms)
    assert vocabulary.targets[0].equal(vocabulary.targets[1])


def test_rows_sum_to_one_and_a_column_is_the_product_of_its_bytes() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 5, NUM_POSITIONS, NUM_CLASSES)
    vocabulary = local_vocabulary(["añ今🙂"])
    columns = column_log_probs(logits, vocabulary.positions)
    torch.testing.assert_close(columns.exp().sum(dim=-1), torch.ones(2, 5))
    scores = logits.log_softmax(dim=-1)
    torch.testing.assert_close(columns[..., BLANK_COLUMN], scores[..., 0, BLANK])
    for target, character in zip(vocabulary.targets[0].tolist(), "añ今🙂", strict=True):
        classes = [*character.encode(), *[ENDED] * 4][:4]
        expected = sum(scores[..., k, c] for k, c in enumerate(classes))
        torch.testing.assert_close(columns[..., target], expected)


def test_certain_frames_have_finite_gradients() -> None:
    logits = spoken("ab", certainty=100.0).requires_grad_()
    columns = column_log_probs(logits, local_vocabulary(["ab"]).positions)
    columns[..., 1:].sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(columns).all()
    assert torch.isfinite(logits.grad).all()


def test_reading_is_the_best_of_all_characters_by_exhaustive_search() -> None:
    torch.manual_seed(0)
    points = [*range(0x80), *range(0x80, 0xD800, 7), *range(0x20B80, 0x20BC0)]
    positions = local_vocabulary(["".join(map(chr, points))]).positions
    for wanted in (ord("a"), 0x80 + 7 * 20, 0x80 + 7 * 5000, 0x20BB7):
        logits = torch.randn(NUM_POSITIONS, NUM_CLASSES)
        for k, byte in enumerate(chr(wanted).encode().ljust(4, b"\xff")):
            logits[k, ENDED if byte == 0xFF else byte] += 12.0
        logits[0, BLANK] = -20.0
        known = column_log_probs(logits, positions)[1:-1]
        best = positions[int(known.argmax())].tolist()  # NFC leaves some of the points out
        assert bytes(b for b in best if b != ENDED).decode() == chr(wanted)
        assert int(most_likely_characters(logits)) == wanted
    assert int(most_likely_characters(blank_frame())) == NO_CHARACTER


def blank_frame() -> torch.Tensor:
    logits = torch.zeros(NUM_POSITIONS, NUM_CLASSES)
    logits[0, BLANK] = 20.0
    return logits


def test_equal_neighbours_need_a_frame_between_them() -> None:
    assert [required_frames(t) for t in ("", "abc", "aab", "aaa")] == [0, 3, 4, 5]
    assert local_vocabulary(["aab", "ab"]).required.tolist() == [4, 2]

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
import torch

from gsv2.models.aligner.characters import (
    BLANK,
    NUM_SHARED,
    REPLACEMENT,
    Vocabulary,
    column_log_probs,
    count_characters,
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


def vocabulary_of(*texts: str, size: int = 100) -> Vocabulary:
    vocabulary = Vocabulary(size)
    vocabulary.learn(count_characters(texts))
    return vocabulary


def classes_of(vocabulary: Vocabulary, text: str) -> list[int]:
    encoded = vocabulary.encode([text])
    return encoded.classes[encoded.targets[0] - 1].tolist()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_of_any_script_is_read_back(text: str) -> None:
    vocabulary = vocabulary_of(*TEXTS.values())
    assert vocabulary.decode(classes_of(vocabulary, text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_characters_never_counted_have_shared_classes_and_are_read_as_such(text: str) -> None:
    vocabulary = vocabulary_of("0123")
    classes = classes_of(vocabulary, text)
    text = unicodedata.normalize("NFC", text)
    first_shared = vocabulary.num_classes - NUM_SHARED
    assert all(first_shared <= value < vocabulary.num_classes for value in classes)
    assert len(dict(zip(text, classes, strict=True))) == len(set(zip(text, classes, strict=True)))
    assert vocabulary.decode([BLANK, *classes]) == REPLACEMENT * len(text)


def test_the_most_frequent_have_a_class_and_ties_go_to_the_lower_code_point() -> None:
    vocabulary = Vocabulary(3)
    vocabulary.learn(Counter({"d": 1, "c": 2, "b": 2, "a": 9, "e": 2}))
    assert vocabulary.points.tolist() == [ord("a"), ord("b"), ord("c")]
    assert classes_of(vocabulary, "abc") == [1, 2, 3]
    assert min(classes_of(vocabulary, "de")) > 3


def test_a_vocabulary_is_loaded_over_another() -> None:
    first, second = vocabulary_of("abc"), vocabulary_of("xyz")
    assert classes_of(second, "x") == [1]
    second.load_state_dict(first.state_dict())
    assert classes_of(second, "abc") == [1, 2, 3]
    assert second.decode([1, 2, 3]) == "abc"


def test_equal_texts_in_other_unicode_forms_have_equal_characters() -> None:
    forms = [unicodedata.normalize(form, "안녕 Zoë") for form in ("NFC", "NFD")]
    encoded = vocabulary_of(*forms).encode(forms)
    assert encoded.targets[0].equal(encoded.targets[1])


def test_texts_are_columns_with_zeros_behind_their_ends() -> None:
    vocabulary = vocabulary_of("abc")
    encoded = vocabulary.encode(["cab", "b", ""])
    assert encoded.classes.tolist() == [1, 2, 3]
    assert encoded.targets.tolist() == [[3, 1, 2], [2, 0, 0], [0, 0, 0]]
    assert encoded.lengths.tolist() == [3, 1, 0]


def test_rows_sum_to_one_and_columns_are_those_of_the_classes() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 5, 40)
    classes = torch.tensor([2, 7, 39])
    columns = column_log_probs(logits, classes)
    torch.testing.assert_close(columns.exp().sum(dim=-1), torch.ones(2, 5))
    torch.testing.assert_close(columns[..., :-1], logits.log_softmax(-1)[..., [BLANK, 2, 7, 39]])


def test_certain_frames_have_finite_gradients() -> None:
    logits = torch.zeros(2, 9)
    logits[0, 1] = logits[1, 2] = 100.0
    columns = column_log_probs(logits.requires_grad_(), torch.tensor([1, 2]))
    columns[..., 1:].sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(columns).all()
    assert torch.isfinite(logits.grad).all()


def test_neighbours_of_one_class_need_a_frame_between_them() -> None:
    assert [required_frames(t) for t in ([], [1, 2, 3], [1, 1, 2], [1, 1, 1])] == [0, 3, 4, 5]
    assert vocabulary_of("ab").encode(["aab", "ab"]).required.tolist() == [4, 2]

import pytest

from gsv2.evaluation.grammar import (
    template_grammar,
    vocabulary,
    vocabulary_grammar,
)


def test_templates_become_rules():
    found = template_grammar(
        ["{name} has {number} boats.", "It's {day}!"],
        {"name": ("Anna", "Omar"), "number": ("two",), "day": ("on Monday", "today")},
    )
    assert found.startswith("#JSGF V1.0;\n")
    assert "public <sentence> = <slot_name> has <slot_number> boats | it's <slot_day>;" in found
    assert "<slot_name> = anna | omar;" in found
    assert "<slot_day> = on monday | today;" in found


def test_words_are_alternatives():
    texts = ["The cat sat.", "A cat!", "the cat sat"]
    assert vocabulary(texts) == ["a", "cat", "sat", "the"]
    assert "= ( a | cat | sat | the )+;" in vocabulary_grammar(vocabulary(texts))


def test_apostrophes_stay_inside_words():
    assert vocabulary(["Don’t say 'yes' to the boys' toys"]) == [
        "boys", "don't", "say", "the", "to", "toys", "yes",
    ]  # fmt: skip


def test_slots_without_words_are_named():
    with pytest.raises(ValueError, match="slot 'city', which has no words"):
        template_grammar(["To {city}."], {})
    with pytest.raises(ValueError, match="slot 'city' must have words"):
        template_grammar(["To {city}."], {"city": ()})

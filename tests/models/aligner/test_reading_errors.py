from __future__ import annotations

from gsv2.models.aligner.reading_errors import count_errors


def test_errors_are_the_fewest_edits_in_characters_of_any_script() -> None:
    assert count_errors(["kitten", "今天", ""], ["sitting", "今日は", "x"]) == 3 + 2 + 1
    assert count_errors(["नमस्ते"], ["नमस्ते"]) == 0
    assert count_errors([], []) == 0

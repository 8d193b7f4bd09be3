import json

import pytest

from gsv2.quickstart.curves import pair_curves, read_curves


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_every_numeric_key_with_a_slash_is_a_curve(tmp_path):
    file = write(
        tmp_path / "m.jsonl",
        {
            "step": 1,
            "time": 3.0,
            "gpt/loss": 2,
            "gpt/note": "text",
            "gpt/flag": True,
            "data/ledger": [{"lane": 1}],
        },
        {"step": 2, "gpt/loss": 1.5, "validation/gpt/loss": 1.75},
    )
    curves = read_curves(file)
    assert list(curves) == ["gpt/loss", "validation/gpt/loss"]
    assert curves["gpt/loss"] == ([1, 2], [2.0, 1.5])


def test_a_step_that_was_run_again_counts_once(tmp_path):
    steps = [(1, 5.0), (2, 4.0), (3, 3.0), (2, 4.5), (3, 3.5)]  # died after 3, resumed from 1
    file = write(tmp_path / "m.jsonl", *({"step": s, "a/loss": v} for s, v in steps))
    assert read_curves(file)["a/loss"] == ([1, 2, 3], [5.0, 4.5, 3.5])


def test_terms_are_paired_with_their_validation(tmp_path):
    file = write(
        tmp_path / "m.jsonl",
        {"step": 1, "a/loss": 1.0, "a/lr": 0.1},
        {"step": 2, "validation/a/loss": 2.0, "validation/a/usage": 0.5},
    )
    found = {pair.term: (pair.train, pair.validation) for pair in pair_curves(read_curves(file))}
    assert found == {
        "a/loss": (([1], [1.0]), ([2], [2.0])),
        "a/lr": (([1], [0.1]), None),
        "a/usage": (None, ([2], [0.5])),
    }


@pytest.mark.parametrize("line", ["{", "[1]", "3", '{"loss": 1}', ""])
def test_a_damaged_line_is_named(tmp_path, line):
    file = tmp_path / "m.jsonl"
    file.write_text('{"step": 1, "a/b": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"m\.jsonl:2 is no JSON object with a step"):
        read_curves(file)

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gsv2.fit.journal import Journal


def fail() -> None:
    raise OSError("disk full")


def test_a_finished_step_is_not_done_again_and_keeps_its_time(tmp_path: Path) -> None:
    path, done = tmp_path / "fit.json", []
    Journal.open(path, {"seed": 1}).run("corpus", lambda: done.append(1))
    first = json.loads(path.read_text())
    again = Journal.open(path, {"seed": 1})
    again.run("corpus", lambda: done.append(2))
    again.run("gpt", lambda: done.append(3))
    assert done == [1, 3]
    assert again.seconds["corpus"] == first["seconds"]["corpus"]
    assert Journal.open(path, {"seed": 1}).finished == ["corpus", "gpt"]


def test_a_step_that_is_broken_off_is_not_done_but_its_time_counts(tmp_path: Path) -> None:
    path = tmp_path / "fit.json"

    def interrupted() -> None:
        time.sleep(0.02)
        raise KeyboardInterrupt

    for number in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            Journal.open(path, {}).run("codes", interrupted)
        assert Journal.open(path, {}).seconds["codes"] >= 0.02 * number
    assert Journal.open(path, {}).finished == []


def test_what_a_step_has_used_is_asked_of_its_own_files(tmp_path: Path) -> None:
    """Killed without a word, it wrote no time here; what it lost is no time used."""
    journal = Journal(tmp_path / "fit.json", {}, seconds={"gpt": 500.0})
    journal.run("gpt", lambda: None, used=lambda: 40.0)
    assert 40.0 <= journal.seconds["gpt"] < 41.0


@pytest.mark.parametrize("other", [{"seed": 2}, {"seed": 1, "minutes": 3.0}])
def test_other_arguments_are_refused_and_named(tmp_path: Path, other: dict[str, float]) -> None:
    Journal.open(tmp_path / "fit.json", {"seed": 1}).run("corpus", lambda: None)
    with pytest.raises(ValueError, match=r"holds what was made with seed 1, not with seed"):
        Journal.open(tmp_path / "fit.json", other)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"arguments": {}, "seconds": 3}'])
def test_a_damaged_journal_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(ValueError, match=r"fit\.json is damaged .*; delete the folder") as refusal:
        Journal.open(tmp_path / "fit.json", {})
    assert "\n" not in str(refusal.value)

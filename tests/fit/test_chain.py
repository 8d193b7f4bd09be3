"""A chain of steps as its own process is told of it, and what it has used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gsv2.data.config import SourceConfig
from gsv2.fit.chain import CHAINS, WEIGHTS, ChainCall, chain_journal, used_by_chain
from gsv2.fit.corpus import FitCorpora
from gsv2.fit.runs import STAGES, FitRuns
from gsv2.training.checkpoints.checkpoint import checkpoint_folder
from gsv2.training.checkpoints.snapshot import FORMAT_VERSION

CORPORA = FitCorpora(
    train=SourceConfig(path="a corpus", part="train", held_out_share=0.1),
    held_out=SourceConfig(path="a corpus", part="heldout", held_out_share=0.1),
)


def test_a_call_is_the_same_after_a_command_line() -> None:
    call = ChainCall(
        chain="reading", seconds=90.5, started=1e9, out="a folder", corpora=CORPORA, seed=3,
        size="small", overrides=("gpt.seed=4",), longest_sec=9.5,
    )  # fmt: skip
    assert ChainCall.from_json(call.to_json()) == call
    json.loads(call.to_json())


def test_the_chains_train_every_stage_but_the_quantizer_once_and_divide_all_their_time() -> None:
    steps = [step for chain in CHAINS.values() for step in chain]
    assert sorted(step for step in steps if step in STAGES) == sorted(set(STAGES) - {"quantizer"})
    for chain, weights in WEIGHTS.items():
        assert list(weights) == [step for step in CHAINS[chain] if step in STAGES]
        assert sum(weights.values()) == pytest.approx(1)


def test_what_a_chain_has_used_counts_the_checkpoint_of_a_stage_that_was_killed(
    tmp_path: Path,
) -> None:
    runs = FitRuns(out=tmp_path, corpora=CORPORA, seed=0)
    journal = chain_journal(tmp_path, "reading")
    journal.run("aligner", lambda: None)
    aligner_sec = journal.seconds["aligner"]
    assert used_by_chain(runs, "reading") == pytest.approx(aligner_sec)
    folder = checkpoint_folder(runs.folder("gpt"), 7)
    folder.mkdir(parents=True)
    state: dict[str, Any] = {"format_version": FORMAT_VERSION, "run": {"time_sec": 42.0}}
    (folder / "state.json").write_text(json.dumps(state))
    assert used_by_chain(runs, "reading") == pytest.approx(aligner_sec + 42)
    assert used_by_chain(runs, "voice") == 0

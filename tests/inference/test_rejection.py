"""Rejected codes that a GPT has spoken: the worst of several, and only where it is bad enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gsv2.data.config import SourceConfig
from gsv2.inference import rejection
from gsv2.inference.extraction import extract_codes
from gsv2.inference.rejection import RejectionLimits, SpeakerAndJudge, reject_codes
from gsv2.models.component import load_component
from gsv2.stages.rejected_codes import GivenCodes
from tests.support.pointer_bundle import save_aligner, save_run

CPU = torch.device("cpu")


@pytest.fixture
def world(tmp_path: Path, make_corpus) -> tuple[SourceConfig, Path]:
    """A corpus of two voices with codes, and a run with all parts."""
    corpus = make_corpus(tmp_path / "corpus", 6, num_speakers=2, seconds=(0.4, 0.6))
    run = save_run(tmp_path / "run", "attention", None)
    save_aligner(run)
    extract_codes(corpus, run, tmp_path / "codes", CPU)
    return SourceConfig(path=str(corpus), codes=str(tmp_path / "codes")), run


def test_the_worst_of_several_is_kept_if_it_is_worse_than_the_recording(
    world, tmp_path, monkeypatch
) -> None:
    """Errors are said to be the frames, those of recordings of a first text fewer than any."""
    source, run = world
    heard: dict[str, list[int]] = {}

    def errors(aligner: object, text: str, codes: Tensor, device: object) -> float:
        heard.setdefault(text, []).append(codes.shape[1])
        return float(codes.shape[1])

    monkeypatch.setattr(rejection, "_errors", errors)
    limits = RejectionLimits(candidates=3, min_errors=1.0)
    made = reject_codes(
        source, SpeakerAndJudge(run, run), tmp_path / "rejected", CPU, limits=limits
    )
    quantizer = load_component(run / "gpt.safetensors", "gpt").provenance["quantizer"]
    assert made.quantizer == quantizer
    given = GivenCodes({source.path: str(tmp_path / "rejected")}, quantizer)
    found = {key: given.find(key) for key in given._rows}
    assert 0 < len(found) == made.num_clips
    recorded = {text: lengths[0] for text, lengths in heard.items()}
    worst = {text: max(lengths[1:]) for text, lengths in heard.items()}
    bad = sorted(worst[text] for text in heard if worst[text] >= recorded[text] + 1)
    assert sorted(codes.shape[1] for codes in found.values()) == bad
    assert all(codes.shape[0] == 2 for codes in found.values())


def test_what_is_spoken_well_is_not_rejected_and_foreign_codes_are_refused(
    world, tmp_path, monkeypatch
) -> None:
    source, run = world
    monkeypatch.setattr(rejection, "_errors", lambda *_: 0.0)
    with pytest.raises(ValueError, match="there is no clip to write, of 6"):
        reject_codes(source, SpeakerAndJudge(run, run), tmp_path / "none", CPU)
    component = load_component(run / "gpt.safetensors", "gpt")
    other = component.provenance | {"quantizer": "f" * 64}
    changed = replace(component, provenance=other)
    monkeypatch.setattr(rejection, "load_component", lambda *_: changed)
    with pytest.raises(ValueError, match="must be of quantizer ff"):
        reject_codes(source, SpeakerAndJudge(run, run), tmp_path / "other", CPU)

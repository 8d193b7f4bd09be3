"""Verdict on a GPT that was listened to."""

from __future__ import annotations

import json
import logging

import pytest

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from gsv2.inference.bundle_description import read_bundle_description
from gsv2.inference.reading import HeldOutReading
from gsv2.inference.synthesizer import Synthesizer
from gsv2.training.checkpoints.snapshot import FORMAT_VERSION
from tests.support.tiny_bundle import save_parts

BABBLE = {"char_errors": 0.86, "char_errors_recorded": 0.08, "ended": 0.75}


def reading(char_errors: float, recorded: float, ended: float = 1.0) -> HeldOutReading:
    return HeldOutReading(char_errors=char_errors, char_errors_recorded=recorded, ended=ended)


@pytest.mark.parametrize(
    ("errors", "recorded", "line"),
    [
        (0.12, 0.08, "reads held-out text with .12 character errors, recordings .08"),
        (0.86, 0.08, "does not read: .86 character errors on held-out text, recordings .08"),
        (1.05, 0.08, "does not read: 1.05 character errors on held-out text, recordings .08"),
        (0.31, 0.08, "reads held-out text with .31 character errors, recordings .08"),
        (0.33, 0.08, "does not read: .33 character errors on held-out text, recordings .08"),
        (0.55, 0.46, "reads held-out text with .55 character errors, recordings .46"),
        (0.73, 0.46, "does not read: .73 character errors on held-out text, recordings .46"),
    ],
)
def test_a_model_reads_if_it_keeps_three_quarters_of_what_is_read_in_recordings(
    errors, recorded, line
):
    assert str(reading(errors, recorded)) == line


def test_an_aligner_that_cannot_read_recordings_judges_nobody():
    found = reading(0.8, 0.7)
    assert found.reads is None
    assert "makes .70 character errors on recordings (.80 on speech)" in str(found)


def test_sentences_without_an_end_are_told():
    assert str(reading(0.1, 0.1, 0.75)).endswith("recordings .10; .75 of the sentences end")


def test_figures_come_from_a_record_that_has_all_of_them():
    values = {f"validation/{name}": value for name, value in BABBLE.items()}
    assert HeldOutReading.from_record(values) == HeldOutReading(**BABBLE)
    assert HeldOutReading.from_record(values | {"validation/ended": float("nan")}) is None
    assert HeldOutReading.from_record({"validation/gpt/loss": 1.0}) is None


def save_run(folder, values):
    save_parts(folder)
    run = {"step": 3, "samples_seen": 5, "audio_seen": {}, "time_sec": 1.0}
    record = {"format_version": FORMAT_VERSION, "run": run, **values}
    (folder / "state.json").write_text(json.dumps(record))
    return folder


def test_a_bundle_tells_what_the_checkpoint_of_its_gpt_was_heard_to_say(tmp_path, caplog):
    record = {f"validation/{name}": value for name, value in BABBLE.items()}
    bundle = export_bundle([save_run(tmp_path / "run", {"values": record})], tmp_path / "bundle")
    assert read_bundle_description(bundle).reading == HeldOutReading(**BABBLE)
    with caplog.at_level(logging.WARNING):
        Synthesizer.from_bundle(bundle)
    assert caplog.messages == [
        f"the model in {bundle} does not read: .86 character errors on held-out text, recordings "
        ".08; .75 of the sentences end"
    ]


@pytest.mark.parametrize("values", [{}, {"values": {}}, {"values": {"validation/gpt/loss": 2.0}}])
def test_a_model_that_nobody_has_listened_to_is_not_judged(tmp_path, caplog, values):
    bundle = export_bundle([save_run(tmp_path / "run", values)], tmp_path / "bundle")
    assert read_bundle_description(bundle).reading is None
    assert "reading" not in json.loads((bundle / "bundle.json").read_text())
    with caplog.at_level(logging.WARNING):
        Synthesizer.from_bundle(bundle)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "reading must be of type dict"),
        ({}, r"reading\.char_errors is missing"),
        (BABBLE | {"leak": 1.0}, "HeldOutReading has no leak"),
        (BABBLE | {"ended": "all"}, r"reading\.ended must be of type float"),
        (BABBLE | {"ended": -1.0}, "ended must be at least 0, but is -1"),
    ],
)
def test_a_damaged_record_of_reading_is_named(tmp_path, tiny_bundle, value, message):
    description = json.loads((tiny_bundle / "bundle.json").read_text())
    for file in tiny_bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bundle.json").write_text(json.dumps(description | {"reading": value}))
    with pytest.raises(BundleError, match=rf"bundle\.json: .*{message}"):
        load_bundle(tmp_path)

"""One sentence measured: what is spoken again, who is asked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gsv2.evaluation.judges import Judges
from gsv2.evaluation.sentence_meter import SentenceMeter
from gsv2.evaluation.sentence_result import ResultFolder
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from tests.support.made_up_judges import EchoRecognizer, PitchEncoder


@pytest.fixture(scope="module")
def synthesizer(pointer_bundle: Path) -> Synthesizer:
    return Synthesizer.from_bundle(pointer_bundle, torch.device("cpu"))


@pytest.fixture
def meter_of(synthesizer: Synthesizer, tmp_path: Path):
    def make(*listeners: EchoRecognizer, seed: int = 0) -> SentenceMeter:
        judges = Judges(recognizers=listeners, encoders=[PitchEncoder()])
        folder = ResultFolder(tmp_path)
        return SentenceMeter(synthesizer, "hash", judges, folder, SamplingConfig(seed=seed))

    return make


@pytest.fixture
def spoken(synthesizer: Synthesizer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were spoken."""
    texts: list[str] = []
    real = synthesizer.synthesize

    def speak(text: str, *arguments, **options):
        texts.append(text)
        return real(text, *arguments, **options)

    monkeypatch.setattr(synthesizer, "synthesize", speak)
    return texts


def test_another_judge_hears_what_was_spoken_before(meter_of, make_sentences, spoken) -> None:
    sentence, first, second = make_sentences(1)[0], EchoRecognizer(), EchoRecognizer(name="two")
    before = meter_of(first).measure(sentence)
    after = meter_of(first, second).measure(sentence)
    assert spoken == [sentence.text]
    assert (first.calls, second.calls) == (3, 3)  # speech, through codes, recording
    assert after.measures["wer/echo"] == before.measures["wer/echo"]
    assert after.measures["wer/two"] == before.measures["wer/echo"]


def test_a_judge_that_became_another_is_asked_again(meter_of, make_sentences, spoken) -> None:
    sentence = make_sentences(1)[0]
    meter_of(EchoRecognizer()).measure(sentence)
    changed = EchoRecognizer(heard="", identity="echo 2")
    row = meter_of(changed).measure(sentence)
    assert spoken == [sentence.text]
    assert changed.calls == 3
    assert row.readings["echo"]["generated"] == ""


@pytest.mark.parametrize("change", ["seed", "text", "sound"])
def test_what_its_speech_depends_on_makes_it_spoken_again(
    meter_of, make_sentences, spoken, tmp_path, change
) -> None:
    sentence = make_sentences(1)[0]
    meter_of().measure(sentence)
    if change == "text":
        sentence = replace(sentence, text="something else")
    if change == "sound":
        for path in tmp_path.glob("*.generated.wav"):
            path.unlink()
    meter_of(seed=int(change == "seed")).measure(sentence)
    assert len(spoken) == 2

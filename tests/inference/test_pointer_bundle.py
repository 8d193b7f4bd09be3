"""Bundles with an aligner, and speech of a GPT that reads by a pointer."""

import json
from pathlib import Path

import pytest
import torch

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from gsv2.inference.references import VoiceError, load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech_file import SpeechFileError, SpeechFiles, VoiceRecordings, write_speech
from gsv2.inference.synthesizer import Synthesizer
from gsv2.models.aligner.model import Aligner
from tests.support.pointer_bundle import save_aligner, save_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    """Reading -> bundle with an aligner."""
    root = tmp_path_factory.mktemp("pointer")
    made = {}
    for reading in ("attention", "pointer", "both"):
        (root / reading).mkdir()
        aligner = save_aligner(root / reading)
        run = save_run(root / reading, reading, aligner.fingerprint())
        made[reading] = export_bundle([run], root / f"{reading} bundle")
    return made


def test_a_bundle_holds_the_aligner_of_its_runs(bundles):
    parts = load_bundle(bundles["pointer"])
    assert parts.keys() == {"quantizer", "gpt", "vits2", "aligner"}
    files = json.loads((bundles["pointer"] / "bundle.json").read_text())["files"]
    assert files.keys() == {f"{kind}.safetensors" for kind in parts}
    found = Aligner.from_component(parts["aligner"]).fingerprint()
    assert found == parts["gpt"].provenance["aligner"]


def test_a_pointer_without_its_aligner_is_refused(tmp_path):
    run = save_run(tmp_path / "run", "pointer", "0123456789abcdef")
    with pytest.raises(BundleError, match=r"reading=pointer\) and needs the aligner"):
        export_bundle([run], tmp_path / "bundle")
    save_aligner(tmp_path / "run")
    with pytest.raises(BundleError, match="must be 0123456789abcdef"):
        export_bundle([run], tmp_path / "bundle")


@pytest.mark.parametrize("reading", ["pointer", "both"])
def test_prompts_are_aligned_and_the_times_of_words_come_out(bundles, voice, reading):
    synthesizer = Synthesizer.from_bundle(bundles[reading], CPU)
    reference = load_reference(voice, "a voice")
    speech = synthesizer.synthesize("One word. Two more words.", [reference])
    assert speech.ended
    words = [word.text for word in speech.times.words]
    assert words == ["One", "word", "Two", "more", "words"]
    seconds = len(speech.wave) / speech.sample_rate
    assert speech.times.duration_sec == pytest.approx(seconds, abs=0.01)
    starts = [word.start_sec for word in speech.times.words]
    assert starts == sorted(starts)


def test_a_faster_rate_speaks_in_less_time(bundles, voice):
    synthesizer = Synthesizer.from_bundle(bundles["pointer"], CPU)
    reference = load_reference(voice)
    lengths = [
        len(
            synthesizer.synthesize(
                "A sentence of some length.", [reference], sampling=SamplingConfig(speaking_rate=r)
            ).wave
        )
        for r in (0.6, 1.0, 1.7)
    ]
    assert lengths[0] > lengths[1] > lengths[2]


def test_a_transcript_that_is_too_long_for_its_recording_is_refused(bundles, voice):
    synthesizer = Synthesizer.from_bundle(bundles["pointer"], CPU)
    reference = load_reference(voice, "much too long a transcript " * 20)
    with pytest.raises(VoiceError, match="does not fit its recording"):
        synthesizer.synthesize("hello", [reference])


def test_attention_gets_its_times_from_the_aligner(bundles, voice, tiny_bundle, tmp_path):
    sampling = SamplingConfig(min_sec_per_byte=0.2, max_sec_per_byte=0.2)
    synthesizer = Synthesizer.from_bundle(bundles["attention"], CPU)
    speech = synthesizer.synthesize("Two words.", [load_reference(voice)], sampling=sampling)
    assert [word.text for word in speech.times.words] == ["Two", "words"]
    bare = Synthesizer.from_bundle(tiny_bundle, CPU)
    assert bare.synthesize("Two.", [load_reference(voice)], sampling=sampling).times is None


def test_times_are_written_beside_the_speech(bundles, voice, tiny_bundle, tmp_path):
    out, times = tmp_path / "out.wav", tmp_path / "out.json"
    write_speech(
        bundles["pointer"], "Two words.", SpeechFiles(out, times), VoiceRecordings([voice])
    )
    assert [word["text"] for word in json.loads(times.read_text())["words"]] == ["Two", "words"]
    with pytest.raises(SpeechFileError, match="the bundle has no aligner"):
        write_speech(tiny_bundle, "Two words.", SpeechFiles(out, times), VoiceRecordings([voice]))
    with pytest.raises(ValueError, match=r"TextGrid or \.json"):
        write_speech(
            bundles["pointer"],
            "Two.",
            SpeechFiles(out, tmp_path / "times.txt"),
            VoiceRecordings([voice]),
        )

"""Bundles whose waveform model reads text: export, speech, times of words, evaluation's sound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gsv2.inference.bundle import BundleError, export_bundle, load_bundle
from gsv2.inference.onnx_export import ExportError
from gsv2.inference.open_synthesizer import BundleOptions, open_synthesizer
from gsv2.inference.references import VoiceError, load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.speech_file import SpeechFiles, VoiceRecordings, write_speech
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.text_synthesizer import TextSynthesizer
from gsv2.models.component import save_component
from tests.support.tiny_bundle import save_parts
from tests.support.tiny_text_vits2 import make_text_stage

pytestmark = pytest.mark.usefixtures("without_watermark")

CPU = torch.device("cpu")
TEXT = "One word. Two more words."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a waveform model that reads text."""
    folder = tmp_path_factory.mktemp("text run")
    trainable = make_text_stage(folder).trainables["generator"]
    save_component(
        folder / "generator.safetensors",
        trainable.module,
        kind=trainable.kind,
        config=trainable.config,
        provenance=trainable.provenance,
    )
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    return export_bundle([run], run / "bundle")


def test_a_bundle_of_text_holds_one_part_and_no_quantizer(bundle: Path) -> None:
    assert load_bundle(bundle).keys() == {"vits2"}
    described = json.loads((bundle / "bundle.json").read_text())
    assert list(described["files"]) == ["vits2.safetensors"]
    assert "quantizer" not in described


def test_it_speaks_with_the_times_of_words(bundle: Path, voice: Path, tmp_path: Path) -> None:
    out, times = tmp_path / "out.wav", tmp_path / "out.json"
    speech = write_speech(bundle, TEXT, SpeechFiles(out, times), VoiceRecordings([voice]))
    assert out.is_file()
    assert np.isfinite(speech.wave).all()
    found = json.loads(times.read_text())
    assert [word["text"] for word in found["words"]] == ["One", "word", "Two", "more", "words"]
    starts = [word["start_sec"] for word in found["words"]]
    assert starts == sorted(starts)
    seconds = len(speech.wave) / speech.sample_rate
    assert found["duration_sec"] == pytest.approx(seconds, abs=0.01)


def test_a_seed_repeats_the_speech_and_a_rate_shortens_it(bundle: Path, voice: Path) -> None:
    synthesizer = open_synthesizer(bundle, CPU)
    assert isinstance(synthesizer, TextSynthesizer)
    reference = [load_reference(voice)]
    state = torch.get_rng_state()
    first, again = (synthesizer.synthesize(TEXT, reference, seed=3) for _ in range(2))
    assert np.array_equal(first.wave, again.wave)
    assert torch.equal(torch.get_rng_state(), state)
    fast = SamplingConfig(speaking_rate=2.0)
    faster = synthesizer.synthesize(TEXT, reference, seed=3, sampling=fast)
    assert len(faster.wave) < 0.75 * len(first.wave)


def test_a_recording_goes_through_the_posterior(bundle: Path, voice: Path) -> None:
    synthesizer = open_synthesizer(bundle, CPU)
    reference = load_reference(voice)
    wave = synthesizer.resynthesise(reference.wave, synthesizer.voice([reference]))
    assert 0 <= len(reference.wave) - len(wave) < 640
    assert np.isfinite(wave).all()


def test_it_is_not_mixed_with_parts_of_codes(run: Path, tmp_path: Path) -> None:
    codes = save_parts(tmp_path / "codes")
    (codes / "generator.safetensors").unlink()
    with pytest.raises(BundleError, match="reads text and not the codes of a GPT"):
        export_bundle([run, codes], tmp_path / "bundle")


def test_the_other_synthesizer_says_who_speaks(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has no GPT: its waveform model reads text itself"):
        Synthesizer.from_bundle(bundle, CPU)
    whole = export_bundle([save_parts(tmp_path / "codes")], tmp_path / "whole")
    with pytest.raises(BundleError, match="has a GPT"):
        TextSynthesizer.from_bundle(whole, CPU)


def test_sentences_come_one_by_one_and_joined_they_are_the_whole(bundle: Path, voice: Path) -> None:
    synthesizer = TextSynthesizer.from_bundle(bundle, CPU)
    reference = [load_reference(voice)]
    steps = []
    pieces = synthesizer.stream(TEXT, reference, each_step=lambda: steps.append(1))
    first = next(pieces)
    assert len(steps) == 1
    rest = list(pieces)
    whole = synthesizer.synthesize(TEXT, reference)
    joined = np.concatenate([first.wave, *(p.wave for p in rest)])
    assert np.array_equal(joined * np.float32(whole.gain), whole.wave)
    enrolled = synthesizer.synthesize(TEXT, synthesizer.enroll(reference))
    assert np.array_equal(enrolled.wave, whole.wave)


def test_a_server_speaks_with_it_in_one_voice_and_in_a_mixture(
    bundle: Path, voice: Path, tmp_path: Path
) -> None:
    from gsv2.commands.serve import load_voices
    from gsv2.serve.bundle_speaker import BundleSpeaker
    from tests.support.speech_server import serving

    for name in ("anna", "ben"):
        (tmp_path / f"{name}.wav").write_bytes(voice.read_bytes())
    speaker = BundleSpeaker(open_synthesizer(bundle, CPU), SamplingConfig())
    voices = list(load_voices([tmp_path], speaker))
    with serving(speaker, voices) as server, server.client() as http:
        spoken = [
            http.post(
                "/v1/audio/speech",
                json={"model": "m", "input": TEXT, "voice": asked, "speed": speed},
            )
            for asked, speed in (("anna", 1.0), ("anna(0.5)+ben(0.5)", 2.0))
        ]
    assert [answer.status_code for answer in spoken] == [200, 200]
    assert len(spoken[1].content) < len(spoken[0].content)


def test_a_voice_file_is_refused_by_its_name(
    bundle: Path, tiny_bundle: Path, voice: Path, tmp_path: Path
) -> None:
    from gsv2.serve.bundle_speaker import BundleSpeaker
    from tests.commands.test_voice import make

    file = tmp_path / "anna.voice.safetensors"
    assert make(tiny_bundle, voice, file).exit_code == 0
    speaker = BundleSpeaker(open_synthesizer(bundle, CPU), SamplingConfig())
    with pytest.raises(VoiceError, match=r"anna.* holds codes, which a bundle without a GPT"):
        speaker.load(file)


def test_it_has_no_graphs(run: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="a bundle of text to wave speaks with torch alone"):
        open_synthesizer(bundle, CPU, BundleOptions(engine="onnx"))
    with pytest.raises(ExportError, match="made of a bundle with a GPT, but there is none"):
        export_bundle([run], tmp_path / "bundle", with_graphs=True)

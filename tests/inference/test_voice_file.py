"""Voices as files: what they hold, what refuses them, and what mixtures of them are."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gsv2.inference.enrollment import BundleHashes
from gsv2.inference.references import VoiceError, load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.inference.voice_file import (
    VoiceFile,
    VoiceNotes,
    load_voice,
    mix_voices,
    save_voice,
)
from gsv2.inference.voice_sources import load_voices
from tests.support.tiny_corpus import synthetic_wave

SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)
NOTES = VoiceNotes(name="anna", licence="CC0-1.0", consent="hers, by letter")


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


@pytest.fixture(scope="module")
def anna(synthesizer, voice) -> VoiceFile:
    return make(synthesizer, [load_reference(voice, "a voice"), load_reference(voice)])


@pytest.fixture(scope="module")
def ben(synthesizer, voice) -> VoiceFile:
    wave = 0.3 * synthetic_wave(1.2, 90.0, np.random.default_rng(1))
    reference = replace(load_reference(voice, "another"), wave=wave)
    return make(synthesizer, [reference], replace(NOTES, name="ben", licence="MIT"))


def make(synthesizer, references, notes=NOTES) -> VoiceFile:
    enrolled = tuple(synthesizer.enroll(references))
    return VoiceFile(notes=notes, origin=synthesizer.enroller.hashes, references=enrolled)


def speak(synthesizer, references, **sampling) -> np.ndarray:
    given = replace(SHORT, **sampling)
    return synthesizer.synthesize("One. Two.", references, seed=1, sampling=given).wave


def test_a_voice_speaks_from_its_file_as_its_recordings_do(synthesizer, anna, voice, tmp_path):
    path = tmp_path / "anna.voice.safetensors"
    save_voice(path, anna)
    read = load_voice(path)
    assert read.notes == NOTES
    assert read.origin == anna.origin
    recordings = [load_reference(voice, "a voice"), load_reference(voice)]
    spoken = speak(synthesizer, recordings)
    assert np.array_equal(speak(synthesizer, read.references), spoken)
    assert np.array_equal(speak(synthesizer, load_voices([path])), spoken)


def test_a_file_holds_no_audio_and_says_whose_voice_it_is(anna, tmp_path):
    path = tmp_path / "anna.voice.safetensors"
    save_voice(path, anna)
    with safe_open(path, framework="pt") as file:
        assert sorted(file.keys()) == ["codes.0", "style.0", "style.1"]
        header = json.loads(file.metadata()["gsv2_voice"])
    assert header["notes"] == {"name": "anna", "licence": "CC0-1.0", "consent": "hers, by letter"}
    assert header["references"][0]["text"] == "a voice"
    assert path.stat().st_size < 3000


def test_a_mixture_of_weights_1_and_0_is_the_single_voice_exactly(synthesizer, anna, ben):
    for weights, single in (((1.0, 0.0), anna), ((0.0, 1.0), ben)):
        mixed = mix_voices([anna, ben], weights, "mixed")
        alone = single.weighted(1.0)
        for fusion in ("auto", "average", "concatenate"):
            one = speak(synthesizer, mixed.references, prompt_fusion=fusion)
            other = speak(synthesizer, alone, prompt_fusion=fusion)
            assert np.array_equal(one, other)
    assert mix_voices([anna, ben], (1.0, 0.0), "m").notes.licence == "CC0-1.0"


def test_a_mixture_lies_between_its_voices(synthesizer, anna, ben):
    def style(share: float) -> torch.Tensor:
        mixed = mix_voices([anna, ben], (1 - share, share), "mixed")
        return synthesizer.voice(mixed.references).style

    start, end = style(0.0), style(1.0)
    for share in (0.25, 0.5, 0.75):
        assert torch.allclose(style(share), start + share * (end - start), atol=1e-6)
    notes = mix_voices([anna, ben], (1, 1), "both").notes
    assert notes == VoiceNotes(name="both", licence="CC0-1.0; MIT", consent="hers, by letter")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "one weight each"),
        ([0.0, 0.0], "positive sum"),
        ([-1.0, 2.0], "must be at least 0"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused(anna, ben, weights, message):
    with pytest.raises(VoiceError, match=message):
        mix_voices([anna, ben], weights, "mixed")


def test_voices_of_different_bundles_are_not_mixed(anna, ben):
    other = replace(ben, origin=BundleHashes("0", "0"))
    with pytest.raises(VoiceError, match="must be of one bundle, but 'anna' is of"):
        mix_voices([anna, other], [1, 1], "mixed")


def test_what_is_no_voice_or_damaged_is_named(anna, tmp_path):
    path = tmp_path / "a.voice.safetensors"
    with pytest.raises(VoiceError, match="does not exist"):
        load_voice(path)
    path.write_bytes(b"nothing")
    with pytest.raises(VoiceError, match="is damaged"):
        load_voice(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(VoiceError, match="but no voice"):
        load_voice(path)
    save_voice(path, anna)
    content = path.read_bytes()
    for start in range(8, len(content), 97):
        damaged = bytearray(content)
        damaged[start] ^= 0xFF
        path.write_bytes(damaged)
        try:
            load_voice(path)
        except VoiceError:
            continue
    with pytest.raises(VoiceError, match=r"must end in \.voice\.safetensors"):
        save_voice(tmp_path / "a.safetensors", anna)
    with pytest.raises(VoiceError, match="licence of a voice must be said"):
        VoiceNotes(name="a", licence=" ", consent="b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style.0": torch.full((1, 16), torch.nan)}, "finite"),
        ({"codes.0": torch.full((2, 3), -1)}, "codes from 0"),
        ({"codes.0": torch.zeros(2, 0)}, "codes from 0"),
        ({"more": torch.zeros(1)}, "nothing else"),
    ],
)
def test_tensors_that_no_voice_has_are_refused(anna, tmp_path, change, message):
    path = tmp_path / "a.voice.safetensors"
    save_voice(path, anna)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    save_file(tensors | change, path, metadata=metadata)
    with pytest.raises(VoiceError, match=message):
        load_voice(path)

"""Whisper from a folder: a tiny one of random weights."""

import numpy as np
import pytest

from gsv2.evaluation.whisper import Whisper
from tests.support.tiny_corpus import synthetic_wave
from tests.support.tiny_judges import save_tiny_whisper

MAX_TOKENS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch):
    """An untrained model says whatever it may."""
    monkeypatch.setattr("gsv2.evaluation.whisper._MAX_TOKENS", MAX_TOKENS)


@pytest.fixture(scope="module")
def wave():
    return synthetic_wave(1.5, 140.0, np.random.default_rng(0))


def test_it_writes_what_the_model_of_transformers_decodes(folder, wave):
    import soxr
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    slow = soxr.resample(wave, 32_000, 16_000)
    features = processor(slow, sampling_rate=16_000, return_tensors="pt").input_features
    vocabulary = processor.tokenizer.get_vocab()
    tokens = [
        vocabulary[f"<|{name}|>"]
        for name in ("startoftranscript", "zh", "transcribe", "notimestamps")
    ]
    prompt = len(tokens)
    with torch.inference_mode():
        while (
            len(tokens) < prompt + MAX_TOKENS and vocabulary["<|endoftext|>"] not in tokens[prompt:]
        ):
            logits = model(features, decoder_input_ids=torch.tensor([tokens])).logits
            tokens.append(int(logits[0, -1].argmax()))
    expected = processor.decode(tokens, skip_special_tokens=True).strip()
    assert Whisper(folder).transcribe(wave, "zh-TW") == expected


def test_it_hears_the_languages_of_its_folder(folder, tmp_path):
    heard = [Whisper(folder).supports(name) for name in ("en", "zh-TW", "nb", "fr", "und")]
    assert heard == [True, True, True, False, True]
    english = Whisper(save_tiny_whisper(tmp_path / "english", multilingual=False))
    assert [english.supports(name) for name in ("en-GB", "zh", "und")] == [True, False, False]


def test_an_unknown_language_is_guessed_and_an_english_model_is_told_none(folder, wave, tmp_path):
    assert isinstance(Whisper(folder).transcribe(wave, "und"), str)
    english = Whisper(save_tiny_whisper(tmp_path / "english", multilingual=False))
    assert isinstance(english.transcribe(wave, "en"), str)


def test_its_identity_is_that_of_its_files(folder, tmp_path):
    one, other = Whisper(folder), Whisper(save_tiny_whisper(tmp_path / "tiny", multilingual=False))
    assert one.name == other.name == "tiny"
    assert one.identity == Whisper(folder).identity != other.identity


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere must be a folder with a pretrained model"):
        Whisper(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="cannot be loaded as WhisperProcessor"):
        Whisper(tmp_path)

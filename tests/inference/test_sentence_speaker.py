"""Sentences whole, and piece by piece."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gsv2.inference.bundle import export_bundle
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.sentence_speaker import SentenceSpeaker
from gsv2.inference.sentences import plan_sentences
from gsv2.inference.synthesizer import Synthesizer
from tests.inference.test_text_pointer import set_moves
from tests.support.pointer_bundle import save_aligner, save_run

LONG = SamplingConfig(min_sec_per_byte=0.1, max_sec_per_byte=0.11, candidates=1, retries=0, seed=3)
"""Some 70 frames for the text."""
TEXT = "a sentence of thirty letters."


@pytest.fixture(scope="module", params=["attention", "pointer"])
def synthesizer(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("speaker")
    save_run(root, request.param, save_aligner(root).fingerprint())
    bundle = export_bundle([root], root / "bundle")
    made = Synthesizer.from_bundle(bundle, torch.device("cpu"))
    if made.gpt.has_pointer:
        set_moves(made.gpt, [0.75, 0.2, 0.05])
    for coupling in made.vits2.flow.couplings:  # a new one is the identity
        torch.nn.init.normal_(coupling.post.weight, std=0.3)
    return made


@pytest.fixture(scope="module")
def references(synthesizer, voice):
    return synthesizer.enroll([load_reference(voice, "a voice")])


def make_speaker(synthesizer, references, sampling) -> SentenceSpeaker:
    own = synthesizer.voice(references)
    return SentenceSpeaker(
        synthesizer.gpt, synthesizer.aligner, synthesizer.decoder, references, own, sampling
    )


@pytest.mark.parametrize("candidates", [1, 2])
def test_pieces_joined_are_the_sentence_to_the_last_sample(synthesizer, references, candidates):
    speaker = make_speaker(synthesizer, references, replace(LONG, candidates=candidates))
    sentence = plan_sentences(TEXT).sentences[0]
    (whole,) = speaker.speak([sentence])
    pieces = list(speaker.stream(sentence))
    assert len(pieces) > 2
    assert np.array_equal(np.concatenate([piece.wave for piece in pieces]), whole.wave)
    *inner, last = pieces
    assert last.is_end
    assert torch.equal(last.codes[0], whole.codes[0])
    assert (last.times, last.ended, last.warnings) == (whole.times, whole.ended, whole.warnings)
    for piece in inner:
        assert not piece.is_end
        assert (piece.times, piece.codes, piece.warnings) == (None, (), ())


def test_the_first_sound_comes_before_the_last_code_is_drawn(synthesizer, references):
    speaker = make_speaker(synthesizer, references, LONG)
    steps: list[int] = []
    pieces = speaker.stream(plan_sentences(TEXT).sentences[0], lambda: steps.append(1))
    assert len(next(pieces).wave) > 0
    at_first = len(steps)
    num_frames = list(pieces)[-1].codes[0].shape[1]
    assert num_frames > 50
    assert at_first <= 48 < len(steps)


def test_what_a_model_cannot_do_is_said_once(synthesizer, references):
    speaker = make_speaker(synthesizer, references, replace(LONG, min_sec_per_byte=0.0))
    text = '<speak><prosody rate="fast">a sentence.</prosody></speak>'
    *_, last = speaker.stream(plan_sentences(text).sentences[0])
    kinds = [warning.kind for warning in last.warnings]
    assert ("rate" in kinds) == (not synthesizer.gpt.has_pointer)
    assert ("cut" in kinds) == (not last.ended)
    assert len(kinds) == len(set(kinds))

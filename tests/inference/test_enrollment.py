"""Recordings as the models of a bundle read them."""

from dataclasses import replace

import pytest
import torch

from gsv2.inference.references import VoiceError, load_reference
from gsv2.inference.synthesizer import Synthesizer


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


def test_fused_style_is_the_weighted_mean(synthesizer, voice):
    one = load_reference(voice)
    two = replace(one, wave=one.wave[::-1].copy(), weight=3.0)
    fused = synthesizer.voice([one, two]).style
    alone = [synthesizer.voice([replace(r, weight=1.0)]).style for r in (one, two)]
    assert torch.allclose(fused, 0.25 * alone[0] + 0.75 * alone[1], atol=1e-6)


@pytest.mark.parametrize("part", ["quantizer", "vits2"])
def test_a_voice_of_another_bundle_is_refused(synthesizer, voice, part):
    enrolled = synthesizer.enroll([load_reference(voice, "a voice")])
    origin = enrolled[0].origin._replace(**{part: "0" * 64})
    references = [replace(r, origin=origin, source="anna") for r in enrolled]
    with pytest.raises(VoiceError, match=f"anna does not fit the bundle: its {part} is 0000"):
        synthesizer.enroll(references)


def test_codes_beyond_the_codebook_are_refused(synthesizer, voice):
    (first,) = synthesizer.enroll([load_reference(voice, "a voice")])
    prompt = first.prompt._replace(codes=first.prompt.codes + 1000)
    with pytest.raises(VoiceError, match="its codes below 16"):
        synthesizer.enroll([replace(first, prompt=prompt)])


def test_what_is_enrolled_speaks_as_its_recording_and_weight_0_is_left_out(synthesizer, voice):
    one = load_reference(voice, "a voice")
    silent = replace(one, wave=one.wave[::-1].copy(), weight=0.0)
    (enrolled,) = synthesizer.enroll([one, silent])
    assert torch.equal(enrolled.style, synthesizer.voice([one]).style)
    assert torch.equal(enrolled.prompt.codes, synthesizer.encode(one.wave))
    with pytest.raises(VoiceError, match="at least one reference must have a weight above 0"):
        synthesizer.enroll([silent])

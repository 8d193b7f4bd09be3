"""Codes as speech."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gsv2.data.corpus.format import HOP_LENGTH, SAMPLE_RATE
from gsv2.inference.code_decoder import AlignCodes, CodeDecoder
from gsv2.inference.decoder import GeneratedCodes
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.inference.synthesizer import Synthesizer
from gsv2.models.aligner.viterbi import Alignment, AlignmentError
from gsv2.models.vits2.content_text import ContentTextConfig
from gsv2.models.vits2.model import VITS2

RATE_HZ = 25.0
CODES = torch.arange(12).view(2, 6)
SHORT = SamplingConfig(max_sec_per_byte=0.02, max_extra_sec=0.2)


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, torch.device("cpu"))


def test_codes_become_two_frames_each(synthesizer, voice):
    reference = load_reference(voice)
    codes = synthesizer.encode(reference.wave)
    frames = len(reference.wave) // HOP_LENGTH
    assert codes.shape == (2, -(-frames // 2))
    wave = synthesizer.decode(codes, synthesizer.voice([reference]))
    assert wave.shape == (codes.shape[1] * 2 * HOP_LENGTH,)


def test_synthesis_leaves_the_global_random_numbers_alone(synthesizer, voice):
    state = torch.get_rng_state()
    synthesizer.synthesize("hello", [load_reference(voice)], sampling=SHORT)
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_is_a_function_of_the_seed_and_none_at_scale_0(synthesizer, voice):
    reference = load_reference(voice)
    codes, own = synthesizer.encode(reference.wave), synthesizer.voice([reference])
    decode = synthesizer.decoder.decode
    one, same, other = (decode(codes, own, noise_scale=0.5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    still = [decode(codes, own, seed=seed) for seed in (1, 2)]
    assert np.array_equal(*still)


@pytest.fixture(scope="module")
def spoken_in(synthesizer, voice):
    return synthesizer.voice([load_reference(voice)])


def make_decoder(synthesizer: Synthesizer, align: AlignCodes | None = None) -> CodeDecoder:
    return CodeDecoder(synthesizer.vits2, align, RATE_HZ, synthesizer.device)


def generated(characters: list[list[int]] | None = None) -> GeneratedCodes:
    """Codes of two utterances, of which the second has none and was cut."""
    codes = torch.stack([CODES, torch.full_like(CODES, -1)])
    spoken = None if characters is None else torch.tensor(characters)
    return GeneratedCodes(codes, torch.tensor([6, 0]), torch.tensor([True, False]), spoken)


def test_each_sentence_is_spoken_as_it_would_be_alone_and_none_without_codes(
    synthesizer, spoken_in
):
    decoder = make_decoder(synthesizer)
    said, nothing = decoder.speak(generated(), ["ab", "cd"], spoken_in, seed=3)
    assert np.array_equal(said.wave, decoder.decode(CODES, spoken_in, seed=3))
    assert said.sample_rate == SAMPLE_RATE
    assert torch.equal(said.codes[0], CODES)
    assert (said.ended, nothing.ended) == (True, False)
    assert len(nothing.wave) == 0
    assert said.times is None
    assert nothing.times is None


def test_a_sentence_is_spoken_with_its_text_where_that_is_read(synthesizer, spoken_in):
    """In one window, for there is no telling where it is said before all codes have come."""
    torch.manual_seed(0)
    vits2 = VITS2(replace(synthesizer.vits2.config, content_text=ContentTextConfig())).eval()
    torch.nn.init.normal_(vits2.content_encoder.text.attention.out_proj.weight)
    decoder = CodeDecoder(vits2, None, RATE_HZ, synthesizer.device)
    told, same, other = (
        next(decoder.speak(generated(), [text, "cd"], spoken_in, seed=3)).wave
        for text in ("ab", " ab ", "xy")
    )
    assert np.array_equal(told, same)
    assert not np.array_equal(told, other)
    stream = decoder.start(spoken_in, 3, "ab")
    assert len(stream.push(CODES[:, :4], is_last=False)) == 0
    assert np.array_equal(stream.push(CODES[:, 4:], is_last=True).numpy(), told)
    assert not np.array_equal(decoder.decode(CODES, spoken_in, seed=3), told)  # a recording's


def test_a_pointer_tells_the_times_and_the_aligner_is_not_asked(synthesizer, spoken_in):
    def refuse(codes: torch.Tensor, text: str) -> Alignment:
        pytest.fail("there is a pointer")

    characters = [[0, 0, 0, 1, 1, 1], [-1] * 6]
    said, _ = make_decoder(synthesizer, refuse).speak(
        generated(characters), ["ab", "cd"], spoken_in, seed=3
    )
    times = [(part.text, part.start_sec, part.end_sec) for part in said.times.characters]
    assert times == [("a", 0.0, 3 / RATE_HZ), ("b", 3 / RATE_HZ, 6 / RATE_HZ)]
    assert said.times.duration_sec * SAMPLE_RATE == len(said.wave)


def test_an_aligner_tells_the_times_unless_the_text_does_not_fit(synthesizer, spoken_in):
    asked = []

    def align(codes: torch.Tensor, text: str) -> Alignment | AlignmentError:
        asked.append((codes.shape, text))
        if text != "ab":
            return AlignmentError("too long")
        return Alignment(np.array([0, 1, 1, 1, 1, 1], dtype=np.uint16), 0.0)

    decoder = make_decoder(synthesizer, align)
    said, _ = decoder.speak(generated(), [" ab ", "cd"], spoken_in, seed=3)
    assert [part.start_sec for part in said.times.characters] == [0.0, 1 / RATE_HZ]
    said, _ = decoder.speak(generated(), ["other", "cd"], spoken_in, seed=3)
    assert said.times is None
    assert asked == [((2, 6), "ab"), ((2, 6), "other")]  # normalised; not for what has no codes

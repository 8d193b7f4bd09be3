import numpy as np
import pytest
import torch

from gsv2.data.config import SourceConfig
from gsv2.inference.extraction import extract_codes
from gsv2.inference.synthesizer import Synthesizer
from gsv2.losses.codebook import entropy_nats
from gsv2.quickstart.evaluate import (
    HeldOut,
    evaluate_quantizer,
    reconstruct,
    speak,
    training_entropy,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def synthesizer(tiny_bundle):
    return Synthesizer.from_bundle(tiny_bundle, CPU)


@pytest.fixture(scope="module")
def held_out(tiny_corpus, tiny_bundle, tmp_path_factory):
    codes = tmp_path_factory.mktemp("heldout") / "codes"
    extract_codes(tiny_corpus.path, tiny_bundle / "quantizer.safetensors", codes, CPU)
    return HeldOut(SourceConfig(path=str(tiny_corpus.path), codes=str(codes)))


def test_pairs_take_voices_in_turn_and_never_pair_a_clip_with_itself(held_out):
    pairs = held_out.pairs(6)
    assert [clip.speaker for clip, _ in pairs] == ["speaker0", "speaker1", "speaker2"] * 2
    assert all(clip.speaker == other.speaker for clip, other in pairs)
    assert all(clip.key != other.key for clip, other in pairs)
    assert len({clip.key for clip, _ in pairs}) == 6


def test_stored_codes_are_those_that_the_bundle_makes(held_out, synthesizer):
    for row in range(3):
        clip = held_out.clip(row)
        stored = torch.from_numpy(clip.codes.astype(np.int64))
        assert torch.equal(synthesizer.encode(clip.wave), stored)


def test_the_feature_error_of_a_quantizer_that_knows_nothing_is_about_the_variance(
    held_out, synthesizer
):
    report = evaluate_quantizer(synthesizer, held_out)
    assert 0.5 < report.error < 3.0
    assert report.codes.num_frames > 100


def test_entropy_counts_the_codes_of_all_clips(tiny_corpus, held_out):
    counts = torch.zeros(2, 1024)
    source = tiny_corpus.source_with_codes
    random_codes = HeldOut(source)
    for row in range(random_codes.index.num_clips):
        for k, codes in enumerate(random_codes.clip(row).codes):
            counts[k] += torch.from_numpy(np.bincount(codes, minlength=1024))
    expected = entropy_nats(counts.double()).tolist()
    assert training_entropy(source, 1024) == pytest.approx(expected)


def test_reconstructions_are_as_long_as_their_recordings_to_a_code_frame(held_out, synthesizer):
    for pair in reconstruct(synthesizer, held_out, 2):
        assert 0 <= len(pair.recording) - len(pair.reconstruction) < 1280


def test_sentences_are_spoken_in_another_clips_voice(held_out, synthesizer):
    (sentence,) = speak(synthesizer, held_out, 1, seed=0)
    assert sentence.text != sentence.reference_text
    assert sentence.ended_by in {"eos", "cap"}
    assert len(sentence.generated) > 0

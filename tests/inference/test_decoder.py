"""Decoding of a batch whose items end at different times."""

from dataclasses import replace

import torch

from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.inference.generate import Utterance, generate
from tests.support.generating_gpt import GREEDY, make_gpt, make_utterances


def test_rows_that_are_over_are_dropped_and_the_others_say_the_same(monkeypatch):
    model = make_gpt()
    texts = ["a", "bc", "def", "a long one, to be spoken when all of the others are over"]
    utterances = [Utterance(text=text) for text in texts]
    config = replace(GREEDY, min_sec_per_byte=0.1, max_extra_sec=0.0)
    rows = []
    call = CachedBackbone.__call__

    def counting(self, inputs):
        rows.append(len(inputs))
        return call(self, inputs)

    monkeypatch.setattr(CachedBackbone, "__call__", counting)
    together = generate(model, utterances, config)
    assert sorted(set(rows), reverse=True) == [4, 2, 1]
    for item, utterance in enumerate(utterances):
        alone = generate(model, [utterance], config)
        assert torch.equal(alone.codes[0], together.codes[item, :, : int(alone.lengths[0])])


def test_a_decoder_asks_a_gpu_seldom_and_what_it_draws_in_vain_is_cut_off(monkeypatch):
    model = make_gpt("delay", 3)
    expected = generate(model, make_utterances(3), GREEDY)
    monkeypatch.setattr("gsv2.inference.decoder._steps_a_question", lambda hidden: 8)
    found = generate(model, make_utterances(3), GREEDY)
    assert torch.equal(found.codes, expected.codes)
    assert torch.equal(found.lengths, expected.lengths)

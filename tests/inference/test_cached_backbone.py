"""Backbone with a cache; that its steps equal the full forward, `test_generate` shows."""

import torch

from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.inference.generate import embed_utterances
from tests.support.generating_gpt import make_gpt, make_utterances


def test_padding_on_the_left_does_not_change_the_output():
    model = make_gpt()
    utterances = make_utterances()
    with torch.inference_mode():
        inputs, mask = embed_utterances(model, utterances)
        together = CachedBackbone(model, mask)(inputs)
        for item, utterance in enumerate(utterances):
            alone = CachedBackbone(model, mask[item : item + 1, mask[item].logical_not().sum() :])
            own, _ = embed_utterances(model, [utterance])
            torch.testing.assert_close(alone(own)[0], together[item], atol=1e-4, rtol=1e-4)

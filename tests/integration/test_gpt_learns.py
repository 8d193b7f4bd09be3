"""A small GPT on an invented language: letters are codes, the voice colours the second codebook."""

import random

import pytest
import torch

from gsv2.inference.generate import Prompt, Utterance, generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.model import GPTConfig, GPTInputs, SemanticGPT
from gsv2.nn.codes import NO_CODE, CodeConfig

V = 64
LETTERS = "abcdefghijkl"
NUM_VOICES = 5
NUM_STEPS = 500


def speak(rng: random.Random, voice: int) -> Prompt:
    text = "".join(rng.choices(LETTERS, k=rng.randint(3, 10)))
    first = [LETTERS.index(letter) * 5 + j for letter in text for j in range(2 + ord(letter) % 2)]
    second = [(code * 3 + voice * 11) % V for code in first]
    return Prompt(text, torch.tensor([first, second]))


def make_batch(model: SemanticGPT, rng: random.Random) -> GPTInputs:
    voices = [rng.randrange(NUM_VOICES) for _ in range(16)]
    clips = [speak(rng, voice) for voice in voices for _ in range(2)]
    lengths = torch.tensor([clip.codes.shape[1] for clip in clips])
    codes = torch.full((len(clips), 2, int(lengths.max())), NO_CODE)
    for row, length, clip in zip(codes, lengths.tolist(), clips, strict=True):
        row[:, :length] = clip.codes
    tokens = model.text_encoder.tokenize([clip.text for clip in clips])
    sequence = torch.arange(16).repeat_interleave(2)
    return GPTInputs(*tokens, codes, lengths, sequence)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["depth", "delay"])
def test_text_voice_and_end_are_learnt_from_examples(pattern):
    torch.manual_seed(0)
    rng = random.Random(0)
    backbone = BackboneConfig(dim=64, num_layers=3, num_heads=4, num_kv_heads=2, ffn_dim=128)
    depth = BackboneConfig(dim=64, num_layers=1, num_heads=2, num_kv_heads=2, ffn_dim=128)
    codes = CodeConfig(codebook_size=V, dim=16)
    model = SemanticGPT(GPTConfig(backbone=backbone, depth=depth, pattern=pattern, codes=codes))
    model.set_codebooks(torch.randn(2, V, 16))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, NUM_STEPS, pct_start=0.1)
    for _ in range(NUM_STEPS):
        output = model(make_batch(model, rng))
        loss = code_prediction_loss(output.logits, output.targets, [1.0, 1.0], model.end).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()

    voices = [rng.randrange(NUM_VOICES) for _ in range(20)]
    spoken = [speak(rng, voice) for voice in voices]
    utterances = [
        Utterance(text=clip.text, prompts=(speak(rng, voice),))
        for clip, voice in zip(spoken, voices, strict=True)
    ]
    out = generate(model, utterances, SamplingConfig(temperature=0.0))
    exact = [
        int(length) == clip.codes.shape[1] and torch.equal(codes[:, :length], clip.codes)
        for codes, length, clip in zip(out.codes, out.lengths, spoken, strict=True)
    ]
    assert out.ended.all()
    assert sum(exact) >= 18

"""Whether the waveform stage can learn by heart: eight words, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from torch.nn.utils import clip_grad_norm_

from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch
from gsv2.quickstart import espeak
from gsv2.stages.vits2 import VITS2Stage
from tests.support.hand_made_batches import make_clips
from tests.support.tiny_gpt import V, save_quantizer
from tests.support.tiny_vits2 import OPTIM, TINY, make_config

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
FRAMES = 16
STEPS = 700
"""Two minutes of one core; a mel distance of .24 through the codes was seen after them."""
MEL_DISTANCE = 0.35
_WAVENET = {"channels": 32, "num_layers": 2, "kernel_size": 3}
_BLOCK = {"num_heads": 2, "ffn_dim": 64, "dropout": 0.0}
_ISTFT = {"dim": 128, "num_blocks": 3, "n_fft": 512, "spectra_per_frame": 4, "source": "harmonic"}
MODEL = {
    "generator": {
        "channels": 32,
        "latent_channels": 32,
        "posterior_input": "mel",
        "content": {"num_layers": 3, "block": _BLOCK},
        "style": {"dim": 16, "channels": 16, "dropout": 0.0},
        "posterior": _WAVENET,
        "flow": {"num_couplings": 2, "wavenet": _WAVENET, "block": _BLOCK},
        "generator": {"kind": "istft", "istft": _ISTFT},
    },
    "discriminator": {**TINY["discriminator"], "start_step": STEPS + 1},
    "segment_frames": FRAMES,
    "stft_loss": {"n_fft": [512], "hop_length": [256], "win_length": [512]},
    "loss_weights": {"stft": 4.5, "pitch": 4.5},
}


def spoken_words() -> Batch:
    """Return the words' first frames, by two voices, each with codes of its own."""
    waves = torch.zeros(len(WORDS), 1, FRAMES * 640)
    for number, word in enumerate(WORDS):
        voice = espeak.EspeakVoice(variant=("f2", "m3")[number % 2])
        spoken = np.asarray(espeak.speak(word, "en", voice), dtype=np.float32)
        wave = soxr.resample(spoken, espeak.SAMPLE_RATE, SAMPLE_RATE)[: waves.shape[-1]]
        waves[number, 0, : len(wave)] = torch.from_numpy(wave)
    codes = torch.randint(V, (8, 2, FRAMES // 2), generator=torch.Generator().manual_seed(1))
    lengths = torch.full((len(WORDS),), waves.shape[-1])
    return make_clips(
        range(len(WORDS)),
        texts=WORDS,
        wave=waves,
        wave_lengths=lengths,
        codes=codes,
        code_lengths=lengths // 1280,
    )


@pytest.mark.slow
def test_eight_clips_are_learnt_by_heart_through_their_codes(tmp_path: Path) -> None:
    """Codes, flow and generator: what speech goes through, without the posterior."""
    quantizer = save_quantizer(tmp_path / "quantizer.safetensors")
    schedule = {"schedule": "exponential", "final_lr_fraction": 0.1, "warmup_steps": 10}
    optim = {**OPTIM, "lr": 5e-3, **schedule}
    config = make_config(
        quantizer,
        model={**MODEL, "quantizer": str(quantizer)},
        optim={"generator": optim, "discriminator": optim},
        trainer={"max_steps": STEPS},
    )
    torch.manual_seed(0)
    stage, batch = VITS2Stage(config, torch.device("cpu")), spoken_words()
    generator = stage.trainables["generator"]
    for step in range(1, STEPS + 1):
        torch.manual_seed(step)
        for update in stage.updates(batch, step):
            update.loss.backward()
            clip_grad_norm_(generator.module.parameters(), generator.max_grad_norm)
            generator.optimizer.step()
            generator.scheduler.step()
            generator.optimizer.zero_grad(set_to_none=True)
    generator.module.eval()
    figures = stage.validate(batch)
    assert figures["generator/mel_through_codes"] < MEL_DISTANCE
    assert figures["generator/mel_through_posterior"] < MEL_DISTANCE

"""Silero's network, computed at once for many frames, is what it is frame by frame."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from gsv2.audio import voice_activity
from gsv2.audio.voice_activity import FRAME_SAMPLES, VoiceActivity

RNG = np.random.default_rng(0)


def spoken(seconds: float) -> np.ndarray:
    """Return a voice: harmonics with a formant, in syllables."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    wave = sum(
        gain * np.sin(2 * np.pi * 130 * harmonic * time)
        for harmonic in range(1, 25)
        for gain in [np.exp(-(((130 * harmonic - 700) / 500) ** 2)) + 0.4 / harmonic]
    )
    return (0.05 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))).astype(np.float32)


@pytest.fixture(scope="module")
def activity() -> VoiceActivity:
    pytest.importorskip("silero_vad")
    return VoiceActivity()


def frame_by_frame(wave: np.ndarray) -> list[float]:
    """Compute the network as its authors show it: frame after frame, with a cell's own state."""
    folder = Path(find_spec("silero_vad").origin).parent / "data"
    w = load_file(folder / "silero_vad_16k.safetensors")
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({n.removeprefix("lstm_cell."): w[n] for n in w if "lstm" in n})
    held = torch.from_numpy(np.concatenate([np.zeros(64, np.float32), wave]))
    state, found = None, []
    for start in range(0, len(wave), FRAME_SAMPLES):
        x = held[None, start : start + 64 + FRAME_SAMPLES]
        x = F.conv1d(F.pad(x, (0, 64), mode="reflect")[:, None], w["stft_conv.weight"], stride=128)
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for number, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
            weight, bias = w[f"conv{number}.weight"], w[f"conv{number}.bias"]
            x = F.conv1d(x, weight, bias, stride=stride, padding=1).relu()
        state = cell(x[..., 0], state)
        last = state[0].relu() @ w["final_conv.weight"][0] + w["final_conv.bias"]
        found.append(float(last.sigmoid()))
    return found


@torch.inference_mode()
def test_many_frames_at_once_give_what_they_give_one_by_one(activity):
    wave = np.concatenate([spoken(0.7), np.zeros(5_000, np.float32), spoken(0.5)])
    wave += 0.003 * RNG.standard_normal(len(wave)).astype(np.float32)
    wave = wave[: len(wave) // FRAME_SAMPLES * FRAME_SAMPLES]
    assert activity.probabilities([wave]) == pytest.approx(frame_by_frame(wave), abs=1e-4)


def test_pieces_of_any_length_give_what_the_whole_gives(activity):
    wave = np.concatenate([spoken(0.6), np.zeros(4_001, np.float32), spoken(0.31)])
    whole = activity.probabilities([wave])
    pieces = np.split(wave, [1, 700, 701, 9_000])
    assert activity.probabilities(pieces) == pytest.approx(whole, abs=1e-5)
    assert len(whole) == -(-len(wave) // FRAME_SAMPLES)
    assert len(activity.probabilities([])) == 0


def test_without_the_package_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(voice_activity, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'gsv2\[vad\]'"):
        VoiceActivity()

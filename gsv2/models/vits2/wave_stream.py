"""Wave stream: codes that come piece by piece -> the samples that they complete.

The attention of the prior and of the flow reaches over a whole clip, so that latents are made in
windows: of each, the middle is kept, and what lies around it is context that the codes before and
after give. Where windows begin depends on the place in the clip alone, and the generator hears the
latents of all windows as one clip: samples do not depend on when codes have come, and windows
leave no seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gsv2.models.vits2.decoded import CodesWithText
from gsv2.models.vits2.generator_stream import GeneratorStream
from gsv2.models.vits2.harmonic_source import own_median
from gsv2.models.vits2.istft_generator import ISTFTGenerator
from gsv2.models.vits2.model import VITS2
from gsv2.text.encoders.interface import TextTokens


@dataclass(frozen=True, kw_only=True)
class WaveWindows:
    """Windows in which latents are made, in code frames.

    On the demo corpus, at debug size, the log-mel of recordings sent through their codes is .921
    away from the recordings where a window sees all of a clip, .934 by these windows, .937 with 16
    frames after them in place of 24; they move it by .15, noise of scale .5 by .26.
    """

    first: int = 16
    """Frames of the first window; a further one has as many as all before it, so that a player
    has them to play while its codes are drawn."""
    most: int = 128
    """Frames of a window at most."""
    before: int = 64
    """Frames before those of a window that it sees too."""
    after: int = 24
    """Frames after those of a window that it waits for and sees too."""

    def __post_init__(self) -> None:
        """Check that windows get anywhere."""
        for name, least in (("first", 1), ("most", self.first), ("before", 0), ("after", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, but is {getattr(self, name)}")


class PositionNoise:
    """Normal noise of frames, a function of the seed and of the place of a frame alone.

    Args:
        channels: numbers of a frame.
        seed: any integer.
        device: where the noise is needed; it is drawn on the CPU.
    """

    def __init__(self, channels: int, seed: int, device: torch.device) -> None:
        self._channels = channels
        self._generator = np.random.default_rng(seed % 2**64)
        self._drawn = torch.zeros(0, channels, device=device)

    def __call__(self, start: int, stop: int) -> Tensor:
        """Return the noise [1, channels, T] of frames from..to."""
        missing = stop - len(self._drawn)
        if missing > 0:
            drawn = self._generator.standard_normal((missing, self._channels), dtype=np.float32)
            self._drawn = torch.cat([self._drawn, torch.from_numpy(drawn).to(self._drawn.device)])
        return self._drawn[start:stop].T.unsqueeze(0)


class PriorNoise(NamedTuple):
    """Noise of the prior."""

    scale: float
    """Factor on the prior's standard deviation; 0 = its mean."""
    seed: int


class WaveStream:
    """Speaks the codes of one clip as they come.

    Args:
        model: a model whose prior reads codes, in eval mode.
        style: [1, style.dim].
        generator: stream of the model's generator, in this style.
        noise: how much of it, and its seed.
        windows: None = one window over all, when all have come.
        text: what the codes say, for a model that reads it beside them and one window: where its
            tokens are said is known when all codes have come.
    """

    def __init__(
        self,
        model: VITS2,
        style: Tensor,
        generator: GeneratorStream,
        noise: PriorNoise,
        windows: WaveWindows | None,
        text: TextTokens | None = None,
    ) -> None:
        assert text is None or windows is None, "places of tokens need all frames"
        self._text = text
        self._model = model
        self._style = style
        self._noise_scale = noise.scale
        self._noise = PositionNoise(model.config.latent_channels, noise.seed, style.device)
        self._windows = windows
        self._generator = generator
        self._codes: Tensor | None = None  # [1, K, T] that have come
        self._num_done = 0  # code frames whose latents the generator has

    @torch.no_grad()
    def push(self, codes: Tensor, *, is_last: bool) -> Tensor:
        """Take the next codes; return the samples that they complete.

        Args:
            codes: [K, T] int64, T may be 0.
            is_last: nothing comes after them.

        Returns:
            [N] float32 in -1..1; for all codes of a clip together, its frames times the hop.
        """
        codes = codes[None].to(self._style.device)
        self._codes = codes if self._codes is None else torch.cat([self._codes, codes], dim=2)
        waves = []
        while (stop := self._next_stop(is_last=is_last)) > self._num_done:
            z = self._latents(stop)
            ends = is_last and stop == self._codes.shape[2]
            waves.append(self._generator.push(z, is_last=ends)[0])
        return torch.cat(waves).clamp(-1.0, 1.0) if waves else self._style.new_zeros(0)

    def _next_stop(self, *, is_last: bool) -> int:
        """Return the code frame up to which the next window goes; where it begins if it waits."""
        assert self._codes is not None, "codes have come"
        known = self._codes.shape[2]
        if self._windows is None:
            return known if is_last else 0
        size = min(max(self._windows.first, self._num_done), self._windows.most)
        stop = self._num_done + size
        if is_last:
            return min(stop, known)
        return stop if stop + self._windows.after <= known else self._num_done

    def _latents(self, stop: int) -> Tensor:
        """Return the latents [1, latent_channels, T] of the next window, up to `stop`."""
        assert self._codes is not None, "codes have come"
        windows = self._windows
        before, after = (0, 0) if windows is None else (windows.before, windows.after)
        start, first = self._num_done, max(self._num_done - before, 0)
        window = self._codes[:, :, first : stop + after]
        share = self._model.config.frames_per_code
        noise = self._noise(first * share, (first + window.shape[2]) * share)
        content = window if self._text is None else CodesWithText(window, self._text)
        z = make_latents(self._model, content, self._style, noise * self._noise_scale)
        self._num_done = stop
        return z[:, :, (start - first) * share : (stop - first) * share]


@torch.no_grad()
def make_latents(
    model: VITS2, codes: Tensor | CodesWithText, style: Tensor, noise: Tensor
) -> Tensor:
    """Return what the generator speaks of codes, none of which are padding.

    Args:
        model: a model whose prior reads codes.
        codes: [B, K, T_codes] int64, perhaps with their text.
        style: [B, style.dim].
        noise: [B, latent_channels, T_codes * frames_per_code], in standard deviations.

    Returns:
        [B, latent_channels, T_codes * frames_per_code].
    """
    mask = torch.ones_like(noise[:, 0], dtype=torch.bool)
    mean, log_std = model.prior(codes, mask, style)
    return model.flow.inverse(mean + noise * log_std.exp(), mask, style)


@torch.no_grad()
def spoken_pitch(model: VITS2, codes: Tensor, style: Tensor) -> float:
    """Return the median pitch in Hz with which a model speaks codes [K, T]; 0 = it has none."""
    if not isinstance(model.generator, ISTFTGenerator) or not model.generator.has_pitch:
        return 0.0
    frames = codes.shape[1] * model.config.frames_per_code
    noise = style.new_zeros(1, model.config.latent_channels, frames)
    z = make_latents(model, codes[None].to(style.device), style, noise)
    hz = own_median(model.generator.pitch(model.generator.features(z, style)).hz())
    return float(hz.nan_to_num(0.0)[0])

"""Streams of generators: latents that come piece by piece -> the samples that they complete.

A generator reaches so many frames to both sides of a sample, and no further. What comes of a
stream is what the generator makes of all latents at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from gsv2.audio.inverse_stft import InverseSTFTStream
from gsv2.models.vits2.generator import Generator
from gsv2.models.vits2.harmonic_source import (
    HarmonicStream,
    PitchContour,
    SpectraStream,
    median_factor,
    move_pitch,
    own_median,
)
from gsv2.models.vits2.istft_generator import ConvNeXtBlock, ISTFTGenerator
from gsv2.models.vits2.spectrum_heads import FilterHead
from gsv2.nn.convolution_stream import ConvolutionStream


class PitchMove:
    """The factor by which the pitch of a voice is moved.

    Args:
        median_hz: [B] median that is wanted, 0 = none.
        own_hz: [B] median with which the model speaks; None = that of the first frames that come.
    """

    def __init__(self, median_hz: Tensor | None = None, own_hz: Tensor | None = None) -> None:
        self._wanted = median_hz
        self._own = own_hz
        self._factor: Tensor | None = None

    def move(self, hz: Tensor) -> Tensor:
        """Return pitches [B, T], 0 where there is none, in the voice that is wanted."""
        if self._wanted is None:
            return hz
        if self._factor is None and hz.shape[1]:
            own = own_median(hz) if self._own is None else self._own
            self._factor = median_factor(own, self._wanted)
        return hz if self._factor is None else move_pitch(hz, self._factor)


class GeneratorStream(Protocol):
    """Samples of latents that come piece by piece."""

    def push(self, z: Tensor, *, is_last: bool) -> Tensor:
        """Take the next latents; return the samples that they complete.

        Args:
            z: [B, latent_channels, T], T may be 0.
            is_last: nothing comes after them.

        Returns:
            [B, N] float32.
        """


class FrameStream(Protocol):
    """What an inverse-STFT generator computes frame by frame, of latents that come piece by piece.

    As `RunFrames` returns it: projected [B, T, S], and with a harmonic source pitch and voicing.
    """

    def push(self, z: Tensor, *, is_last: bool) -> tuple[Tensor, ...]:
        """Take the next latents [B, C, T]; return what they complete, () if that is nothing."""


RunFrames = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""What takes the place of a generator's layers: latents [B, C, T] and style [B, style_dim] -> the
samples [B, N] of HiFi-GAN; or what its head projects of each frame, [B, T, S], and with a harmonic
source the pitch [B, T] and voicing [B, T] of `PitchContour`."""


class LayerStream:
    """The frames of an inverse-STFT generator by its layers; nothing is computed twice.

    Args:
        generator: generator that speaks.
        style: [B, style_dim].
    """

    def __init__(self, generator: ISTFTGenerator, style: Tensor) -> None:
        self._generator = generator
        self._style = generator.style(style).unsqueeze(1)
        self._input = ConvolutionStream(generator.input)
        blocks = [block for block in generator.blocks if isinstance(block, ConvNeXtBlock)]
        self._blocks = [(block, ConvolutionStream(block.conv)) for block in blocks]

    def push(self, z: Tensor, *, is_last: bool) -> tuple[Tensor, ...]:
        """See `FrameStream`."""
        x, _ = self._input.push(z, is_last=is_last)
        x = self._generator.input_norm(x.transpose(1, 2) + self._style)
        for block, convolution in self._blocks:
            mixed, x = convolution.push(x.transpose(1, 2), is_last=is_last)
            x = x.transpose(1, 2) + block.update(mixed.transpose(1, 2))
        x = self._generator.output_norm(x)
        projected = self._generator.head.project(x)
        if not self._generator.has_pitch:
            return (projected,)
        return (projected, *self._generator.pitch(x))


class ContextStream:
    """Outputs of a network over latents: what it reaches to both sides is computed again.

    Args:
        run: network; latents [B, C, T] -> tensors [B, T * rate, ...].
        reach: frames to each side beyond which nothing moves the outputs of a frame.
        rate: outputs of a frame.
    """

    def __init__(
        self, run: Callable[[Tensor], tuple[Tensor, ...]], reach: int, rate: int = 1
    ) -> None:
        self._run = run
        self._reach = reach
        self._rate = rate
        self._seen: Tensor | None = None
        self._before = 0  # frames of `_seen` whose outputs were returned

    def push(self, z: Tensor, *, is_last: bool) -> tuple[Tensor, ...]:
        """Take the next latents; return the outputs that they complete, () if there are none."""
        z = z if self._seen is None else torch.cat([self._seen, z], dim=2)
        start, known = self._before, z.shape[2]
        stop = known if is_last else max(known - self._reach, start)
        kept = max(stop - self._reach, 0)
        self._seen, self._before = z[:, :, kept:], stop - kept
        if stop == start:
            return ()
        return tuple(x[:, start * self._rate : stop * self._rate] for x in self._run(z))


class ISTFTStream:
    """The stream of an inverse-STFT generator.

    Args:
        generator: generator that speaks.
        frames: what it computes frame by frame.
        pitch: how its pitch is moved, with a harmonic source.
    """

    def __init__(self, generator: ISTFTGenerator, frames: FrameStream, pitch: PitchMove) -> None:
        config = generator.config
        self._generator = generator
        self._frames = frames
        self._pitch = pitch
        self._source = HarmonicStream(config.hop_length, generator.sample_rate)
        self._spectra = SpectraStream(generator.window, config.spectrum_hop)
        self._inverse = InverseSTFTStream(generator.window, config.spectrum_hop)
        self._waiting: Tensor | None = None  # [B, T, S], for spectra of the source
        self._num_spectra = 0

    def push(self, z: Tensor, *, is_last: bool) -> Tensor:
        """See `GeneratorStream`."""
        made = self._frames.push(z, is_last=is_last)
        if not made:
            return z.new_zeros(len(z), 0, dtype=torch.float32)
        return self._inverse.push(self._make_spectra(*made, is_last=is_last), is_last=is_last)

    def _make_spectra(self, projected: Tensor, *contour: Tensor, is_last: bool) -> Tensor:
        head = self._generator.head
        if not isinstance(head, FilterHead):
            return head.spectra(projected)
        hz = self._pitch.move(PitchContour(*contour).hz())
        source = self._source.push(hz, is_last=is_last)
        share = head.spectra_per_frame
        heard = self._spectra.push(source, is_last=is_last, multiple=share)
        if self._waiting is not None:
            projected = torch.cat([self._waiting, projected], dim=1)
        count = heard.shape[1] // share
        self._waiting = projected[:, count:]
        spectra = head.filter(projected[:, :count], heard, self._num_spectra)
        self._num_spectra += heard.shape[1]
        return spectra


class UpsamplingStream:
    """The stream of HiFi-GAN's generator.

    Args:
        generator: generator that speaks.
        style: [B, style_dim].
        run: what takes the place of its layers; None = nothing.
    """

    def __init__(self, generator: Generator, style: Tensor, run: RunFrames | None) -> None:
        def make(z: Tensor) -> tuple[Tensor, ...]:
            return (generator(z, style)[:, 0],) if run is None else run(z, style)

        self._samples = ContextStream(make, generator.reach_frames, generator.config.hop_length)

    def push(self, z: Tensor, *, is_last: bool) -> Tensor:
        """See `GeneratorStream`."""
        made = self._samples.push(z, is_last=is_last)
        return made[0] if made else z.new_zeros(len(z), 0, dtype=torch.float32)


def stream_generator(
    generator: Generator | ISTFTGenerator,
    style: Tensor,
    pitch: PitchMove,
    run: RunFrames | None = None,
) -> GeneratorStream:
    """Return the stream of a generator that speaks in a style [B, style_dim].

    Args:
        generator: generator that speaks.
        style: [B, style_dim].
        pitch: how its pitch is moved, with a harmonic source.
        run: what takes the place of its layers; None = nothing.
    """
    if not isinstance(generator, ISTFTGenerator):
        return UpsamplingStream(generator, style, run)
    if run is None:
        return ISTFTStream(generator, LayerStream(generator, style), pitch)
    frames = ContextStream(lambda z: run(z, style), generator.reach_frames)
    return ISTFTStream(generator, frames, pitch)

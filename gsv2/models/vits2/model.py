"""VITS2: codes, or a text, + style of a reference -> 32 kHz waveform.

A conditional variational autoencoder whose prior is made normal by a flow and whose decoder is
trained against discriminators (VITS, arXiv 2106.06103; VITS2, arXiv 2307.16430). The prior reads
codes of a self-supervised encoder, as GPT-SoVITS does, or text, as the papers do (`text_prior.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsv2.audio.mel import MelSpectrogram
from gsv2.models.component import Component
from gsv2.models.trained_module import build_trained
from gsv2.models.vits2.code_features import CodeFeatures
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.content import ContentEncoder
from gsv2.models.vits2.decoded import (
    CodesWithText,
    Decoded,
    LiveCodes,
    TextToAlign,
    TrainedSegments,
)
from gsv2.models.vits2.folded_norms import layout_of
from gsv2.models.vits2.generator import ResidualBlock, make_generator
from gsv2.models.vits2.istft_generator import ConvNeXtBlock, ISTFTGenerator
from gsv2.models.vits2.posterior import PosteriorEncoder, posterior_spectrum
from gsv2.models.vits2.segments import cut_segments
from gsv2.models.vits2.style import StyleEncoder
from gsv2.models.vits2.text_prior import AlignedText, TextPrior
from gsv2.models.vits2.text_tokens import TokenEncoder
from gsv2.nn.codes import CodeVectors
from gsv2.nn.flow import Flow
from gsv2.nn.masks import length_mask
from gsv2.nn.recompute import mark_recomputed
from gsv2.text.encoders.interface import TextTokens


class VITS2(nn.Module):
    """Codes or text + style -> waveform; recordings -> all that its training needs."""

    def __init__(self, config: VITS2Config) -> None:
        super().__init__()
        self.config = config
        style_dim, latent = config.style.dim, config.latent_channels
        self.mel = MelSpectrogram(config.mel)
        self.code_features: CodeFeatures | None = None
        self.text_prior: TextPrior | None = None
        if config.prior == "codes":
            self.code_vectors = CodeVectors(config.codes)
            if config.content_input == "features":
                self.code_features = CodeFeatures(
                    config.code_features, config.codes.dim, config.frames_per_code
                )
        self.style_encoder = StyleEncoder(config.mel.num_mels, config.style)
        if config.prior == "codes":
            self.content_encoder = ContentEncoder(config)
        else:
            self.text_prior = TextPrior(
                config.text, config.channels, config.content, latent, style_dim
            )
        reads = config.posterior_input
        num_bins = config.mel.num_mels if reads == "mel" else config.mel.num_bins
        self.posterior_encoder = PosteriorEncoder(
            num_bins, latent, config.posterior, style_dim, reads
        )
        self.flow = Flow(latent, config.flow, style_dim)
        self.generator = make_generator(latent, config.generator, style_dim, config.mel.sample_rate)

    @property
    def text_encoder(self) -> TokenEncoder | None:
        """Encoder of the texts that the prior reads; None where it reads codes alone."""
        if self.text_prior is not None:
            return self.text_prior.text_encoder
        beside = self.content_encoder.text
        return None if beside is None else beside.text_encoder

    @property
    def has_pitch(self) -> bool:
        """Whether training needs the pitch of recordings."""
        return isinstance(self.generator, ISTFTGenerator) and self.generator.has_pitch

    @classmethod
    def from_component(cls, component: Component) -> VITS2:
        """Return the trained model of a component file, in eval mode.

        Raises:
            ComponentError: the file's config or weights are damaged.
        """
        return build_trained(component, VITS2Config, layout_of(cls, component.tensors)).eval()

    def forward(
        self,
        content: Tensor | CodesWithText | LiveCodes | TextToAlign,
        magnitude: Tensor,
        lengths: Tensor,
        reference: Tensor,
        reference_lengths: Tensor,
        segments: TrainedSegments,
    ) -> Decoded:
        """Encode recordings and decode one segment of each; uses every parameter.

        Args:
            content: codes [B, K, T_codes] int64, -1 at padding, perhaps with their text; or those
                of a quantizer that still trains; or texts, for a prior of text.
            magnitude: [B, num_bins, T] linear spectrogram.
            lengths: [B] int64, in frames.
            reference: [B, num_mels, T_reference] log-mel of a clip of the same voice.
            reference_lengths: [B] int64, in frames.
            segments: what is decoded of the recordings.

        Returns:
            The decoded segments, and prior and posterior. Noise from torch's default generator.
        """
        mask = length_mask(lengths, magnitude.shape[-1])
        style = self.style(reference, length_mask(reference_lengths, reference.shape[-1]))
        aligned: AlignedText | None = None
        if not isinstance(content, TextToAlign):
            m_p, logs_p = self.prior(content, mask, style)
        m_q, logs_q = self.posterior(magnitude, mask, style)
        z = (m_q + torch.randn_like(m_q) * logs_q.exp()) * mask.unsqueeze(1)
        z_p = self.flow(z, mask, style)
        if isinstance(content, TextToAlign):
            assert self.text_prior is not None, "the config has a text prior"
            aligned = self.text_prior.align(content.tokens, z_p, mask, style, content.noise)
            m_p, logs_p = aligned.mean, aligned.log_std
        cut, contour = cut_segments(z, segments.starts, segments.num_frames), None
        if isinstance(self.generator, ISTFTGenerator):
            wave, contour = self.generator.speak(cut, style, pitch=segments.pitch)
        else:
            wave = self.generator(cut, style)
        return Decoded(wave, z_p, m_p, logs_p, logs_q, mask, contour, aligned)

    def recompute_activations(self) -> None:
        """Keep less for the backward pass: the blocks run again in it."""
        prior = self.content_encoder if self.text_prior is None else self.text_prior
        mark_recomputed(prior.transformer.blocks)
        mark_recomputed([self.posterior_encoder.wavenet, *self.flow.couplings])
        blocks = (ResidualBlock, ConvNeXtBlock)
        mark_recomputed(m for m in self.generator.modules() if isinstance(m, blocks))

    def style(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Return the style of references; `self.mel` makes their mel.

        Args:
            mel: [B, num_mels, T] log-mel.
            mask: [B, T].

        Returns:
            [B, style.dim].
        """
        return self.style_encoder(mel, mask)

    @torch.no_grad()
    def infer(
        self,
        codes: Tensor,
        code_lengths: Tensor,
        style: Tensor,
        noise_scale: float,
        median_hz: Tensor | None = None,
        text: TextTokens | None = None,
    ) -> Tensor:
        """Speak codes.

        Args:
            codes: [B, K, T_codes] int64, -1 at padding.
            code_lengths: [B] int64, in code frames.
            style: [B, style.dim] or [1, style.dim].
            noise_scale: factor on the prior's standard deviation; 0 = its mean. Noise comes from
                torch's default generator.
            median_hz: [B] median pitch of the voice, for a harmonic source; 0 = not known.
            text: what the codes say, for a model that reads it beside them; None = not known.

        Returns:
            [B, 1, N] float32 in -1..1, N = T_codes * frames_per_code * hop_length; at padding, 0.
        """
        lengths = code_lengths * self.config.frames_per_code
        mask = length_mask(lengths, codes.shape[-1] * self.config.frames_per_code)
        style = style.expand(len(codes), -1)
        content = codes if text is None else CodesWithText(codes, text)
        m_p, logs_p = self.prior(content, mask, style)
        return self.decode_prior(
            m_p + torch.randn_like(m_p) * logs_p.exp() * noise_scale, mask, style, median_hz
        )

    @torch.no_grad()
    def decode_prior(
        self, z_p: Tensor, mask: Tensor, style: Tensor, median_hz: Tensor | None = None
    ) -> Tensor:
        """Speak a latent of the prior's space.

        Args:
            z_p: [B, latent_channels, T].
            mask: [B, T].
            style: [B, style.dim].
            median_hz: median pitch, as in `infer`.

        Returns:
            [B, 1, T * hop_length] float32 in -1..1; at padding, 0.
        """
        z = self.flow.inverse(z_p * mask.unsqueeze(1), mask, style)
        return self._decode(z, mask, style, median_hz)

    @torch.no_grad()
    def reconstruct(self, magnitude: Tensor, lengths: Tensor, style: Tensor) -> Tensor:
        """Decode the posterior's mean: an upper bound of what `infer` can reach.

        Args:
            magnitude: [B, num_bins, T] linear spectrogram.
            lengths: [B] int64, in frames.
            style: [B, style.dim].

        Returns:
            [B, 1, T * hop_length] float32 in -1..1; at padding, 0.
        """
        mask = length_mask(lengths, magnitude.shape[-1])
        return self._decode(self.posterior(magnitude, mask, style)[0], mask, style)

    def posterior(self, magnitude: Tensor, mask: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Return the posterior's mean and log-std [B, latent_channels, T] of a magnitude."""
        spectrum = posterior_spectrum(magnitude, self.config.posterior_input, self.mel)
        mean, log_std = self.posterior_encoder(spectrum, mask, style)
        return mean, log_std

    def prior(
        self, content: Tensor | CodesWithText | LiveCodes, mask: Tensor, style: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the prior's mean and log-std, [B, latent_channels, T] each, of codes."""
        if isinstance(content, LiveCodes):
            return self.content_encoder(content.vectors, mask, style, text=content.text)
        codes, text = content if isinstance(content, CodesWithText) else (content, None)
        vectors = self.code_vectors(codes)
        features = None
        if self.code_features is not None:
            features = self.code_features(vectors, codes[:, 0] >= 0)
        return self.content_encoder(vectors, mask, style, features, text)

    def _decode(
        self, z: Tensor, mask: Tensor, style: Tensor, median_hz: Tensor | None = None
    ) -> Tensor:
        padding = None if bool(mask.all()) else mask
        if isinstance(self.generator, ISTFTGenerator):
            wave, _ = self.generator.speak(z, style, padding, median_hz=median_hz)
        else:
            wave = self.generator(z, style, padding)
        wave = wave.clamp(-1.0, 1.0)  # an inverse STFT is not bounded, a file is
        return wave * mask.repeat_interleave(self.config.mel.hop_length, dim=1).unsqueeze(1)

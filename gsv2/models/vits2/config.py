"""Config of the waveform model: the sizes of its parts, and what they read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gsv2.audio.mel import MelConfig
from gsv2.models.vits2.code_features import CodeFeaturesConfig
from gsv2.models.vits2.content_text import ContentTextConfig
from gsv2.models.vits2.generator import GeneratorConfig
from gsv2.models.vits2.posterior import PosteriorInput
from gsv2.models.vits2.style import StyleConfig
from gsv2.models.vits2.text_prior import TextPriorConfig
from gsv2.nn.codes import CodeConfig
from gsv2.nn.flow import FlowConfig
from gsv2.nn.transformer import TransformerConfig
from gsv2.nn.wavenet import WaveNetConfig
from gsv2.text.encoders.config import TextVectorsConfig


@dataclass(frozen=True, kw_only=True)
class VITS2Config:
    """The waveform model."""

    codes: CodeConfig = field(default_factory=CodeConfig)
    """Shape of the quantizer's codes; the stage fills it in."""
    mel: MelConfig = field(default_factory=MelConfig)
    """Spectrograms of recordings; its hop is one frame of the model."""
    channels: int = 512
    """Width of the content encoder."""
    latent_channels: int = 192
    """Channels of the latent of a frame."""
    prior: Literal["codes", "text"] = "codes"
    """What is spoken: codes, which a GPT makes of text, or text itself, as in VITS and VITS2."""
    text: TextPriorConfig = field(default_factory=TextPriorConfig)
    """Text prior, where `prior` is `text`."""
    content_input: Literal["vectors", "features"] = "vectors"
    """What the content encoder reads: code vectors, or also the features that the quantizer's
    decoder makes of them, with a direct path to the latent's mean."""
    content_text: ContentTextConfig | None = None
    """Text that the content encoder attends to beside codes; None = codes say it all."""
    code_features: CodeFeaturesConfig = field(default_factory=CodeFeaturesConfig)
    """Sizes of the quantizer's decoder, which matter if its features are read; the stage fills
    them in."""
    content: TransformerConfig = field(default_factory=TransformerConfig)
    """Transformer of the content encoder, which makes the prior of codes, or of text."""
    style: StyleConfig = field(default_factory=StyleConfig)
    """Style encoder, which makes one vector of a reference."""
    posterior_input: PosteriorInput = "spectrogram"
    """What the posterior encoder reads: the linear spectrogram, as in VITS, or the log-mel, with a
    direct path to the latent's mean, which learns in a fraction of the steps."""
    posterior: WaveNetConfig = field(default_factory=WaveNetConfig)
    """WaveNet of the posterior encoder, which makes the latent of a recording."""
    flow: FlowConfig = field(default_factory=FlowConfig)
    """Flow between the posterior and the prior."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Generator, which makes the waveform of the latent."""

    def __post_init__(self) -> None:
        """Check that the rates fit together, and that there is one prior."""
        if self.content_text is not None and self.prior == "text":
            raise ValueError("content_text must be left out for prior=text, which reads it anyway")
        if self.generator.hop_length != self.mel.hop_length:
            is_istft = self.generator.kind == "istft"
            rates = "istft.hop_length" if is_istft else "upsample_rates"
            raise ValueError(
                f"{'' if is_istft else 'the product of '}generator.{rates} must be mel.hop_length "
                f"({self.mel.hop_length}), but is {self.generator.hop_length}"
            )
        if self.frame_rate_hz % self.codes.rate_hz:
            raise ValueError(
                f"codes.rate_hz must divide the frame rate ({self.frame_rate_hz} Hz), "
                f"but is {self.codes.rate_hz}"
            )

    @property
    def text_vectors(self) -> TextVectorsConfig | None:
        """Frozen text encoder whose vectors the model reads; None where it reads none."""
        if self.prior == "text":
            return None if self.text.encoder == "bytes" else self.text.vectors
        beside = self.content_text
        return None if beside is None or beside.encoder == "bytes" else beside.vectors

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second."""
        return self.mel.sample_rate / self.mel.hop_length

    @property
    def num_code_features(self) -> int:
        """Features of codes that the content encoder reads; 0 = code vectors alone."""
        return self.code_features.num_features if self.content_input == "features" else 0

    @property
    def frames_per_code(self) -> int:
        """Frames that one code frame covers."""
        return int(self.frame_rate_hz // self.codes.rate_hz)

"""Config of the quantizer."""

from __future__ import annotations

from dataclasses import dataclass, field

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig
from gsv2.models.quantizer.codebooks import CodebookConfig
from gsv2.nn.codes import CodeConfig

FEATURE_RATE_HZ = 50.0
"""Frame rate of every speech encoder."""


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """The quantizer and the features that it is made for."""

    codes: CodeConfig = field(default_factory=CodeConfig)
    """Shape and rate of the codes."""
    codebooks: CodebookConfig = field(default_factory=CodebookConfig)
    """Start and upkeep of the codebooks."""
    speech_encoder: SpeechEncoderConfig = field(default_factory=SpeechEncoderConfig)
    """Frozen encoder whose features are quantized."""
    feature_stats: str | None = None
    """File of `gsv2 corpus feature-stats`, whose mean and standard deviation normalise the
    features; empty = those of the frames that the codebooks start from."""
    width: int = 512
    """Channels of the convolutional encoder and decoder."""
    num_blocks: int = 3
    """Number of convolution blocks of the encoder, and of the decoder."""
    kernel_size: int = 7
    """Kernel size of the blocks, in code frames; odd."""
    commitment_weight: float = 0.25
    """Weight of the commitment loss, beside a reconstruction loss of weight 1."""
    level_dropout: float = 0.0
    """Probability in training that a clip is reconstructed from its first residual levels alone,
    1 to levels - 1 of them (quantizer dropout, arXiv 2107.03312 section III-C), so that each
    prefix of the codes says as much as it can."""

    def __post_init__(self) -> None:
        """Check the rate and the dropout."""
        if FEATURE_RATE_HZ % self.codes.rate_hz:
            raise ValueError(
                f"codes.rate_hz must divide {FEATURE_RATE_HZ}, but is {self.codes.rate_hz}"
            )
        if not 0 <= self.level_dropout <= 1:
            raise ValueError(f"level_dropout must lie in 0..1, but is {self.level_dropout}")
        if self.level_dropout and self.codes.levels < 2:
            raise ValueError(
                f"level_dropout must be 0 where codes.levels is 1, but is {self.level_dropout}"
            )

    @property
    def stride(self) -> int:
        """Feature frames of a code frame."""
        return int(FEATURE_RATE_HZ // self.codes.rate_hz)

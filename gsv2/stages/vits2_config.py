"""Config of a run of the waveform stage."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from gsv2.audio.mel import MelConfig
from gsv2.audio.multi_resolution import ResolutionsConfig
from gsv2.audio.multi_resolution_mel import MelResolutionsConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.models.quantizer.model import QuantizerConfig
from gsv2.models.vits2.code_features import CodeFeaturesConfig
from gsv2.models.vits2.config import VITS2Config
from gsv2.models.vits2.duration_discriminator import DurationDiscriminatorConfig
from gsv2.stages.sections import CodesModelSection, refuse_excerpts
from gsv2.stages.vits2_discriminators import DiscriminatorSection
from gsv2.stages.vits2_loss_weights import LossWeights
from gsv2.stages.vits2_quantizer import TrainedQuantizer
from gsv2.stages.vits2_start import WaveformInitConfig
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig

GENERATOR = "generator"
DISCRIMINATOR = "discriminator"
DURATION_DISCRIMINATOR = "duration_discriminator"
ValidationFigures = Literal["mel", "all"]
"""What a validation measures."""


def stft_resolutions() -> ResolutionsConfig:
    """Return the resolutions of Parallel WaveGAN (arXiv 1910.11480, table 1), and a longer one."""
    return ResolutionsConfig(
        n_fft=(512, 1024, 2048, 4096),
        hop_length=(50, 120, 240, 480),
        win_length=(240, 600, 1200, 2400),
    )


@dataclass(frozen=True, kw_only=True)
class VITS2ModelSection(CodesModelSection):
    """The `model` section."""

    quantizer: str = ""
    """Run folder, checkpoint, bundle or file of the quantizer that made the codes; left out where
    `generator.prior` is `text`, and for `trained_quantizer`."""
    trained_quantizer: TrainedQuantizer | None = None
    """Quantizer that trains with the waveform model until a set step, by `optim.quantizer`, and
    makes its codes: corpora need none. None = the frozen one that `quantizer` names."""
    generator: VITS2Config = field(default_factory=VITS2Config)
    """The waveform model."""
    discriminator: DiscriminatorSection = field(default_factory=DiscriminatorSection)
    """The discriminators, and when they train."""
    duration_discriminator: DurationDiscriminatorConfig | None = None
    """Discriminator of durations, for a deterministic predictor of a prior of text; it trains as
    the others do, by `optim.duration_discriminator`. None = there is none."""
    alignment_noise: float = 0.01
    """Noise on the scores of the alignment search of a prior of text in the first step, in their
    standard deviations (VITS2, section 2.2): other paths than the likeliest are tried early."""
    alignment_noise_steps: int = 5000
    """Steps in which that noise falls to 0."""
    mel_loss: MelConfig = field(default_factory=MelConfig)
    """Spectrogram whose distance is minimised; its frames are those of `generator.mel`."""
    mel_resolutions: MelResolutionsConfig = field(default_factory=MelResolutionsConfig)
    """Spectrograms whose mean distance is minimised in place of that of `mel_loss`, which is then
    only measured; none by default."""
    stft_loss: ResolutionsConfig = field(default_factory=stft_resolutions)
    """Resolutions of the multi-resolution STFT loss."""
    loss_weights: LossWeights = field(default_factory=LossWeights)
    """Weights of the generator's losses."""
    validation_figures: ValidationFigures = "mel"
    """What a validation measures: mel distances, or `all`: also mel-cepstral distortion, pitch,
    voicing and STFT distance (over `stft_loss`), and all in the clip's own and in a mixed style."""
    segment_frames: int = 32
    """Frames of the segment that is decoded of each clip (32 = 20480 samples)."""
    self_reference_probability: float = 0.3
    """Probability that a clip is its own style reference, though its speaker has others here."""

    def __post_init__(self) -> None:
        """Check the values that no type can, and that the rates fit together."""
        self._check_prior()
        if not self.segment_frames >= 1:
            raise ValueError(
                f"model.segment_frames must be at least 1, but is {self.segment_frames}"
            )
        needs_spectra = self.loss_weights.stft or self.validation_figures == "all"
        if needs_spectra and not len(self.stft_loss):
            raise ValueError(
                "model.stft_loss must have a resolution where loss_weights.stft is above 0 or "
                "validation_figures is all, but has none"
            )
        if not 0 <= self.self_reference_probability <= 1:
            raise ValueError(
                "model.self_reference_probability must lie in 0..1, "
                f"but is {self.self_reference_probability}"
            )
        mel = self.generator.mel
        if mel.sample_rate != SAMPLE_RATE:
            raise ValueError(
                f"model.generator.mel.sample_rate must be that of corpora ({SAMPLE_RATE}), "
                f"but is {mel.sample_rate}"
            )
        for name in ("sample_rate", "hop_length"):  # clips are compared frame by frame
            if getattr(self.mel_loss, name) != getattr(mel, name):
                raise ValueError(
                    f"model.mel_loss.{name} must be model.generator.mel.{name} "
                    f"({getattr(mel, name)}), but is {getattr(self.mel_loss, name)}"
                )

    def _check_prior(self) -> None:
        """Check what only one of the priors has."""
        if self.generator.prior == "codes" and self.trained_quantizer is None:
            super().__post_init__()
        elif self.quantizer:
            raise ValueError(
                "model.quantizer must be left out for model.generator.prior=text, which reads no "
                "codes, and for model.trained_quantizer, which makes them, but is "
                f"{self.quantizer}"
            )
        if self.trained_quantizer is not None and (
            self.generator.prior == "text" or self.generator.content_input == "features"
        ):
            raise ValueError(
                "model.trained_quantizer needs model.generator.prior=codes and "
                "content_input=vectors, but they are "
                f"{self.generator.prior} and {self.generator.content_input}"
            )
        durations = self.generator.text.durations
        if self.duration_discriminator is not None and (
            self.generator.prior == "codes" or durations.kind == "stochastic"
        ):
            raise ValueError(
                "model.duration_discriminator must be left out unless model.generator.prior is "
                "text and model.generator.text.durations.kind is deterministic, but they are "
                f"{self.generator.prior} and {durations.kind}"
            )
        if not 0 <= self.alignment_noise < 1 or self.alignment_noise_steps < 1:
            raise ValueError(
                "model.alignment_noise must lie in 0..1 and model.alignment_noise_steps be at "
                f"least 1, but are {self.alignment_noise} and {self.alignment_noise_steps}"
            )

    def alignment_noise_at(self, step: int) -> float:
        """Return the noise on the alignment's scores at a step, from 1."""
        return self.alignment_noise * max(0.0, 1 - (step - 1) / self.alignment_noise_steps)


def fill_code_features(generator: VITS2Config, quantizer: QuantizerConfig) -> VITS2Config:
    """Return the waveform model's config with the sizes of the quantizer's decoder, if it reads it.

    Raises:
        ValueError: a config names sizes itself, or its frames are not those of the decoder.
    """
    if generator.code_features != CodeFeaturesConfig():
        raise ValueError(
            "model.generator.code_features must be left out, since it is that of the quantizer, "
            f"but is {generator.code_features}"
        )
    if generator.content_input == "vectors":
        return generator
    if generator.frames_per_code != quantizer.stride:
        raise ValueError(
            f"model.generator.content_input=features needs {quantizer.stride} frames a code frame, "
            f"as the quantizer's decoder makes, but model.generator.mel has "
            f"{generator.frames_per_code}"
        )
    features = CodeFeaturesConfig(
        num_features=quantizer.speech_encoder.dim,
        width=quantizer.width,
        num_blocks=quantizer.num_blocks,
        kernel_size=quantizer.kernel_size,
    )
    return replace(generator, code_features=features)


def gan_optim() -> dict[str, OptimConfig]:
    """Return the `optim` section of a GAN where a config names none."""
    gan = OptimConfig(
        lr=2e-4, betas=(0.8, 0.99), eps=1e-9, schedule="exponential", max_grad_norm=1000.0
    )
    return {GENERATOR: gan, DISCRIMINATOR: gan}


@dataclass(frozen=True, kw_only=True)
class VITS2RunConfig(RunConfig):
    """A run of the waveform stage."""

    model: VITS2ModelSection
    """The waveform model, its discriminators and its losses."""
    optim: dict[str, OptimConfig] = field(default_factory=gan_optim)
    """Optimizers and schedules of `generator` and `discriminator`."""
    waveform_init: WaveformInitConfig = field(default_factory=WaveformInitConfig)
    """What the waveform model starts from."""

    def __post_init__(self) -> None:
        """Check that texts are read with whole clips."""
        if self.model.generator.prior == "text":
            refuse_excerpts(self.data, "model.generator.prior=text")
        if self.model.generator.content_text is not None:
            refuse_excerpts(self.data, "model.generator.content_text")

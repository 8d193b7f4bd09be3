"""A stage of one's own, in one file: a network learns which language is spoken.

    python examples/custom_stage.py examples/custom_stage.yaml trainer.max_steps=20
    accelerate launch examples/custom_stage.py examples/custom_stage.yaml   # on several ranks

docs/add-a-stage.md explains the contract.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsv2 import train
from gsv2.audio.mel import MelConfig, MelSpectrogram
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.stream.batch import Batch
from gsv2.nn.masks import length_mask
from gsv2.stages import STAGES, StageEntry
from gsv2.training.config import RunConfig
from gsv2.training.optim import OptimConfig
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.stage import Panel, Update, Workload, audio_workload, make_trainable

NAME = "language"


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """A classifier of spoken languages: the `model` section."""

    languages: list[str]
    """Languages to tell apart, as the corpus names them."""
    channels: int = 64
    """Channels of the convolutions."""
    mel: MelConfig = field(default_factory=MelConfig)
    """Spectrogram that is looked at."""


@dataclass(frozen=True, kw_only=True)
class LanguageRunConfig(RunConfig):
    """A run of the stage: the sections of every run, and two of its own."""

    model: LanguageConfig
    """Sizes of the network."""
    optim: dict[str, OptimConfig] = field(default_factory=lambda: {NAME: OptimConfig()})
    """Optimizer and schedule of `language`."""


class LanguageClassifier(nn.Module):
    """Convolutions over log-mel frames, their mean over the clip, one logit a language."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.mel = MelSpectrogram(config.mel)
        self.first = nn.Conv1d(config.mel.num_mels, config.channels, 5, padding=2)
        self.second = nn.Conv1d(config.channels, config.channels, 5, padding=2)
        self.out = nn.Linear(config.channels, len(config.languages))

    def forward(self, wave: Tensor, lengths: Tensor) -> Tensor:
        """Return logits.

        Args:
            wave: [C, 1, N] at 32 kHz.
            lengths: [C] int64, in samples.

        Returns:
            [C, languages].
        """
        mel = self.mel(wave)  # [C, num_mels, T]
        mask = length_mask(lengths // self.mel.config.hop_length, mel.shape[-1])[:, None]
        hidden = functional.gelu(self.first(mel * mask)) * mask
        hidden = functional.gelu(self.second(hidden)) * mask
        return self.out(hidden.sum(dim=2) / mask.sum(dim=2).clamp(min=1))


class LanguageStage:
    """One trainable, `language`; its targets are clips."""

    members: tuple[str, ...] = ("audio",)
    codes = None
    full_step = 1

    def __init__(self, config: LanguageRunConfig, device: torch.device) -> None:
        self.languages = config.model.languages
        self.device = device
        self.precision = PrecisionPolicy(config.precision, (NAME,))
        self.network = LanguageClassifier(config.model).to(device)
        optim, max_steps = config.optim[NAME], config.trainer.max_steps
        made = make_trainable(NAME, self.network, config.model, optim, max_steps, provenance={})
        self.trainables = {NAME: made}

    def initialise(self, batches: Iterable[Batch]) -> None:
        """Do nothing: no parameter depends on data."""

    def num_targets(self, batch: Batch) -> Mapping[str, int]:
        """Return the number of clips."""
        return {NAME: batch.num_clips}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the one update."""
        with self.precision.autocast(NAME, self.device):
            logits = self.trainables[NAME](*self._audio(batch))
        loss, accuracy = self._judge(logits, batch)
        yield Update(NAME, loss, {f"{NAME}/accuracy": accuracy})

    @torch.no_grad()
    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return loss and accuracy."""
        loss, accuracy = self._judge(self.network(*self._audio(batch)), batch)
        return {f"{NAME}/loss": loss, f"{NAME}/accuracy": accuracy}

    def workload(self, batch: Batch) -> Workload:
        """Return the audio."""
        return audio_workload(batch)

    def flops(self, batch: Batch) -> Mapping[str, float]:
        """Return nothing: nobody has counted them."""
        return {}

    def panels(self, batch: Batch) -> Sequence[Panel]:
        """Return nothing: there is nothing to see or to hear."""
        return ()

    def _audio(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return wave and lengths; of a batch without clips, a second of silence."""
        if batch.wave is None or batch.wave_lengths is None:
            length = torch.tensor([SAMPLE_RATE], device=self.device)
            return torch.zeros(1, 1, SAMPLE_RATE, device=self.device), length
        return batch.wave, batch.wave_lengths

    def _judge(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the mean cross-entropy [] and the share of right answers []."""
        for language in batch.languages:
            if language not in self.languages:
                raise ValueError(f"model.languages must have {language!r}, which the corpus has")
        spoken = [self.languages.index(language) for language in batch.languages] or [0]
        labels = torch.tensor(spoken, device=self.device)
        is_right = logits.detach().argmax(dim=1) == labels
        return functional.cross_entropy(logits.float(), labels), is_right.float().mean()


def main(arguments: Sequence[str]) -> None:
    """Train the stage as `gsv2 train` trains the others."""
    config, *overrides = arguments
    entry = StageEntry(LanguageRunConfig, LanguageStage, LanguageStage.members)
    print(f"run: {train(config, overrides, stages={**STAGES, NAME: entry})}")


if __name__ == "__main__":
    main(sys.argv[1:])

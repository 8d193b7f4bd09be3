"""Config of a speech encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from gsv2.pretrained import PretrainedSource

SpeechEncoderName = Literal[
    "logmel", "w2v-bert-2.0", "chinese-hubert-large", "mhubert-147", "whisper"
]

HUB_IDS: Mapping[str, str] = MappingProxyType(
    {
        "w2v-bert-2.0": "facebook/w2v-bert-2.0",
        "chinese-hubert-large": "TencentGameMate/chinese-hubert-large",
        "mhubert-147": "utter-project/mHuBERT-147",
        "whisper": "openai/whisper-base",
    }
)
"""Pretrained encoder -> where its authors publish it."""
PREPROCESSOR = "preprocessor_config.json"
"""File that says how a pretrained encoder wants its wave."""
USUAL_LAYERS: Mapping[str, int] = MappingProxyType({"w2v-bert-2.0": 17})
"""Encoder -> hidden layer that published systems read; that of all others is the last."""
_PRETRAINED_IDENTITY = ("name", "layer", "num_features", "sha256")
_LOGMEL_IDENTITY = ("name", "num_mels", "win_length", "f_min", "f_max", "subtract_clip_mean")


@dataclass(frozen=True, kw_only=True)
class SpeechEncoderConfig:
    """A speech encoder and its options."""

    name: SpeechEncoderName = "logmel"
    """Which encoder it is. All but `logmel` have pretrained weights."""
    path: str | None = None
    """Folder of the pretrained weights, or their id on the hub; empty = where their authors
    publish them. Where weights lie may change between runs, what they are may not."""
    layer: int | None = None
    """Hidden layer of a pretrained encoder that is read, from 1; empty = 17 of `w2v-bert-2.0`,
    the last of the others."""
    num_features: int | None = None
    """Number of features of a frame of a pretrained encoder; leave it empty: the weights say it."""
    sha256: str | None = None
    """Hash of the pretrained weights and their config. Empty = found when training starts, and
    recorded; other weights are refused from then on."""
    num_mels: int = 80
    """Mel bands of `logmel`; as many deltas are added."""
    win_length: int = 2048
    """Window of `logmel`, in samples at 32 kHz."""
    f_min: float = 0.0
    """Lower edge of the lowest band of `logmel`, in Hz."""
    f_max: float = 8000.0
    """Upper edge of the highest band of `logmel`, in Hz."""
    subtract_clip_mean: bool = True
    """Take each clip's mean off its log-mel (cepstral mean normalisation), so that codes of
    `logmel` say less of the voice and the channel and more of the words."""

    def __post_init__(self) -> None:
        """Refuse options of pretrained weights where there are none."""
        if self.is_pretrained:
            return
        for key in ("path", "layer", "num_features", "sha256"):
            if getattr(self, key) is not None:
                raise ValueError(
                    f"speech_encoder.{key} is for pretrained encoders and must be left out "
                    f"where speech_encoder.name is {self.name}, but is {getattr(self, key)!r}"
                )

    @property
    def is_pretrained(self) -> bool:
        """Whether it has weights."""
        return self.name in HUB_IDS

    @property
    def dim(self) -> int:
        """Number of features of a frame.

        Raises:
            ValueError: they are not known before the weights were looked at.
        """
        if not self.is_pretrained:
            return 2 * self.num_mels
        if self.num_features is None:
            raise ValueError(f"speech_encoder.num_features of {self.name} is not known yet")
        return self.num_features

    @property
    def identity(self) -> dict[str, Any]:
        """What decides its features, as plain values; where weights lie is not among it."""
        keys = _PRETRAINED_IDENTITY if self.is_pretrained else _LOGMEL_IDENTITY
        return {key: getattr(self, key) for key in keys}

    @property
    def source(self) -> str:
        """Folder or hub id of the pretrained weights."""
        return self.path or HUB_IDS[self.name]

    @property
    def weights(self) -> PretrainedSource:
        """Where pretrained weights are looked for."""
        return PretrainedSource(
            name=self.name,
            source=self.source,
            published=HUB_IDS[self.name],
            files=(PREPROCESSOR,),
            key="model.speech_encoder.path",
        )

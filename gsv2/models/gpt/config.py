"""Config of the semantic GPT."""

from __future__ import annotations

from dataclasses import dataclass, field

from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.lora import LoraConfig
from gsv2.models.gpt.patterns import PatternName
from gsv2.models.gpt.pointer import PointerConfig, ReadingName
from gsv2.nn.audio_input import AudioInputName
from gsv2.nn.codes import CodeConfig
from gsv2.text.encoders.config import TextEncoderName, TextVectorsConfig, TokenizerConfig


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """A semantic GPT."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The transformer over the sequence; its `dim` is the model dimension D."""
    text_encoder: TextEncoderName = "bytes"
    """Encoder of the text: bytes with trained vectors (`bytes`), the vectors of a frozen network,
    which corpora hold (`bge-m3`, `data.sources` with `texts`), or the subwords of a text LM with
    trained vectors (`qwen2`, see `init.backbone`)."""
    text_vectors: TextVectorsConfig = field(default_factory=TextVectorsConfig)
    """The frozen network of `bge-m3`; the stage fills it in."""
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    """Tokenizer of `qwen2`."""
    reading: ReadingName = "attention"
    """How the text reaches the codes: it stands in the sequence (`attention`), each step's input
    holds the character that is spoken (`pointer`), or both."""
    pointer: PointerConfig = field(default_factory=PointerConfig)
    """Reader of characters, unless the reading is `attention`."""
    audio_input: AudioInputName = "vq"
    """Input of a step: a projection of the quantizer's own vectors, or learned embeddings."""
    pattern: PatternName = "depth"
    """Order in which codes are generated, see `gsv2.models.gpt.patterns`."""
    depth_frames: float = 1.0
    """Share of the frames, drawn anew for each micro-batch, whose codes after the first are learnt
    if the pattern is `depth`; their mean stands for all frames, and a smaller share is faster.
    Validation takes all."""
    depth: BackboneConfig = field(
        default_factory=lambda: BackboneConfig(
            dim=512, num_layers=4, num_heads=8, num_kv_heads=8, ffn_dim=1408
        )
    )
    """The transformer over the codes of a frame, if the pattern is `depth`, or over the frames of a
    clip, if it is `nar`."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank adapters of the backbone, whose own weights then stay as they are."""
    dropout: float = 0.0
    """Probability of dropping a value of the backbone's inputs and outputs."""
    codes: CodeConfig = field(default_factory=CodeConfig)
    """Shape of the quantizer's codes; the stage fills it in."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        if not 0 < self.depth_frames <= 1:
            raise ValueError(f"depth_frames must lie in (0, 1], but is {self.depth_frames}")
        if self.depth_frames < 1 and self.pattern != "depth":
            raise ValueError(
                f"depth_frames must be 1 for pattern={self.pattern}, but is {self.depth_frames}"
            )

"""Language model of the Qwen2 family (arXiv 2407.10671, 2412.15115) as the start of a backbone.

Its layers are those of ours, tensor for tensor; its word embeddings may start the subwords that
the text encoder `qwen2` reads. The head that predicts words is left out.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.pretrained import CONFIG, PretrainedSource, read_json, weight_files

EMBEDDING = "text_encoder.embedding.weight"
"""Name in a GPT of what the word embeddings start."""
_MODEL_TYPE = "qwen2"
_PREFIX = "model."
"""What a language model's own tensors begin with; a bare backbone's do not."""
_PLAIN = {"hidden_act": "silu", "rms_norm_eps": 1e-6, "use_sliding_window": False}
"""Settings that our backbone has and no config changes."""


def find_language_model(source: str, key: str) -> Path:
    """Return the folder of a language model, fetched once if it is on a hub.

    Raises:
        ValueError: names what is missing, and the folder to put it in.
    """
    published = "Qwen/Qwen2.5-0.5B"
    where = PretrainedSource(name="qwen2", source=source, published=published, files=(), key=key)
    return where.find()


def load_language_model(folder: Path, wanted: BackboneConfig, where: str) -> dict[str, Tensor]:
    """Return the tensors of a language model by the names that they have in a GPT.

    Args:
        folder: folder with config.json and safetensors, one file or shards with their index.
        wanted: sizes of the GPT's backbone; of its layers there may be fewer.
        where: config key and folder, for messages.

    Raises:
        ValueError: another family, other sizes, or a file that is damaged.
    """
    _check_sizes(folder, wanted, where)
    return {
        _name_here(name): tensor
        for file in weight_files(folder)
        for name, tensor in _read(file).items()
    }


def _check_sizes(folder: Path, wanted: BackboneConfig, where: str) -> None:
    """Compare the config of a language model with that of our backbone.

    Raises:
        ValueError: names each key with both values.
    """
    from transformers import Qwen2Config

    kind = read_json(folder / CONFIG).get("model_type")
    if kind != _MODEL_TYPE:
        raise ValueError(f"{where}: config.json must be of a {_MODEL_TYPE}, but is of {kind!r}")
    there = Qwen2Config.from_pretrained(str(folder))
    for name, plain in _PLAIN.items():
        if getattr(there, name) != plain:
            raise ValueError(f"{where}: {name} must be {plain}, but is {getattr(there, name)}")
    rope = there.rope_parameters
    if rope.get("rope_type", "default") != "default":
        raise ValueError(f"{where}: rope_type must be default, but is {rope['rope_type']}")
    sizes = {
        "dim": there.hidden_size,
        "num_heads": there.num_attention_heads,
        "num_kv_heads": there.num_key_value_heads,
        "ffn_dim": there.intermediate_size,
        "rope_theta": rope["rope_theta"],
    }
    wrong = [f"{key}={size} (is {getattr(wanted, key)})" for key, size in sizes.items()
             if size != getattr(wanted, key)]  # fmt: skip
    if wanted.num_layers > there.num_hidden_layers:
        wrong.append(f"num_layers={there.num_hidden_layers} or less (is {wanted.num_layers})")
    if wrong:
        raise ValueError(f"{where}: model.gpt.backbone must have its {', '.join(wrong)}")


def _name_here(name: str) -> str:
    """Return the name in a GPT of a tensor of a language model."""
    bare = name.removeprefix(_PREFIX)
    if bare == "embed_tokens.weight":
        return EMBEDDING
    return name if bare == name and name.startswith("lm_head.") else f"backbone.{bare}"


def _read(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}
    except (SafetensorError, LookupError, RuntimeError) as error:
        raise ValueError(f"{file} is damaged: {' '.join(str(error).split())}") from error

"""Import of GPT-SoVITS checkpoints: what of them fits our networks, and what does not.

The quantizer is theirs: `ssl_proj` and the codebook, as level 0 and only level of one of ours; its
codes are theirs where the features are. HiFi-GAN's generator and discriminators start a waveform
stage (`waveform_init`). Nothing else has a counterpart of its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gsv2.audio.speech_encoders.config import SpeechEncoderConfig, SpeechEncoderName
from gsv2.audio.speech_encoders.make import resolve_speech_encoder
from gsv2.hub.gpt_sovits_file import SoVITSFile, read_sovits_file, whole_weight
from gsv2.models.component import save_component
from gsv2.models.quantizer.config import QuantizerConfig
from gsv2.models.quantizer.model import HASH_KEY, Quantizer
from gsv2.models.vits2.discriminators import DiscriminatorConfig, MultiDiscriminator
from gsv2.models.vits2.generator import Generator, GeneratorConfig, ResidualBlock
from gsv2.nn.codes import CodeConfig

_CODEBOOK = "quantizer.vq.layers.0._codebook"
_NAME_OF_HUBERT: SpeechEncoderName = "chinese-hubert-large"
"""Our name for encoders of this family; the folder says which one it is."""
_USUAL_RATES: Mapping[tuple[int, ...], tuple[int, ...]] = {(16, 16, 8, 2, 2): (10, 8, 2, 2, 2)}
"""Kernel sizes of the upsamplers -> their rates, where a file has no settings."""
_LEFT_ALONE = {
    "enc_p": "reads phonemes, and ours text or none",
    "enc_q": "a WaveNet of another layout",
    "flow": "couplings of VITS; ours are those of VITS2, with a transformer",
    "ref_enc": "reads a linear spectrogram, and ours a log-mel",
}


class ImportedPart(NamedTuple):
    """What became of the tensors whose names begin alike."""

    source: str
    """Beginning of their names."""
    num_tensors: int
    taken_as: str
    """File that holds them now; empty = none."""
    note: str
    """Why not, or what is different here."""


def import_sovits(
    generator: Path,
    out: Path,
    *,
    discriminator: Path | None = None,
    speech_encoder: Path | None = None,
) -> list[ImportedPart]:
    """Write what fits of checkpoints as component files.

    Args:
        generator: file of the waveform model (`s2G...pth`, or what a fine-tuning saved).
        out: folder to write to; files of the same names are replaced.
        discriminator: file of its discriminators (`s2D...pth`).
        speech_encoder: folder of the HuBERT whose features it reads; without it there is no
            quantizer, which has to know them.

    Raises:
        ValueError: a file is no such checkpoint, or has shapes that cannot be; names it.
    """
    found = read_sovits_file(generator)
    judges = None if discriminator is None else read_sovits_file(discriminator)
    out.mkdir(parents=True, exist_ok=True)
    parts = {
        "quantizer": ("", "needs the HuBERT that it reads: --speech-encoder FOLDER"),
        "dec": ("generator.safetensors", "last rectifier has slope .1 here, .01 there"),
    }
    if speech_encoder is not None:
        _save(out, "quantizer", make_quantizer(found, speech_encoder))
        parts["quantizer"] = ("quantizer.safetensors", "one level of the only codebook")
    parts["ssl_proj"] = parts["quantizer"]
    _save(out, "generator", make_generator(found))
    if judges is not None:
        _save(out, "discriminator", make_discriminators(judges))
    table = _table(
        found.tensors, lambda name: parts.get(name) or ("", _LEFT_ALONE.get(name, "no counterpart"))
    )
    if judges is not None:
        taken = ("discriminator.safetensors", "convolutions of one dimension, equal to theirs")
        table += _table(judges.tensors, lambda _: taken)
    return table


@torch.no_grad()
def make_quantizer(found: SoVITSFile, speech_encoder: Path) -> Quantizer:
    """Return the quantizer of a checkpoint: its projection, no blocks, its codebook.

    The decoder, which theirs lacks, is the pseudo-inverse of the projection.
    """
    weight, bias = whole_weight(found.tensors, "ssl_proj"), found.tensors["ssl_proj.bias"]
    entries = _needed(found.tensors, f"{_CODEBOOK}.embed")  # [V, dim]
    width, dim, stride = weight.shape
    encoder = resolve_speech_encoder(
        SpeechEncoderConfig(name=_NAME_OF_HUBERT, path=str(speech_encoder))
    )
    if (encoder.dim, width) != (dim, entries.shape[1]):
        raise ValueError(
            f"ssl_proj must map the {encoder.dim} features of {speech_encoder} to entries of "
            f"{entries.shape[1]}, but maps {dim} to {width}"
        )
    rate_hz = 50.0 / stride
    codes = CodeConfig(levels=1, codebook_size=len(entries), dim=width, rate_hz=rate_hz)
    config = QuantizerConfig(codes=codes, speech_encoder=encoder, width=width, num_blocks=0)
    quantizer = Quantizer(config)
    quantizer.encoder.down.weight.copy_(weight)
    _set(quantizer.encoder.down, None, bias)
    flat = torch.linalg.pinv(weight.flatten(1))  # [dim * stride, width]
    quantizer.decoder.up.weight.copy_(flat.T.unflatten(1, (dim, stride)))
    _set(quantizer.decoder.up, None, torch.zeros(dim))
    for layer, offset in ((quantizer.encoder.out, 0.0), (quantizer.decoder.into, -bias)):
        layer.weight.copy_(torch.eye(width))
        layer.bias.copy_(torch.zeros(width) + offset)
    for codebook in quantizer.codebooks._libraries():
        codebook.embed[0] = entries
        codebook.embed_avg[0] = _needed(found.tensors, f"{_CODEBOOK}.embed_avg")
        codebook.cluster_size[0] = _needed(found.tensors, f"{_CODEBOOK}.cluster_size")
        codebook.initted.fill_(True)
    return quantizer.freeze()


def make_generator(found: SoVITSFile) -> Generator:
    """Return HiFi-GAN's generator of a checkpoint, with what it is conditioned by."""
    tensors = found.tensors
    first = whole_weight(tensors, "dec.conv_pre")  # [channels, latent, 7]
    ups = [whole_weight(tensors, name) for name in _numbered(tensors, "dec.ups")]
    kernels = tuple(weight.shape[2] for weight in ups)
    rates = found.setting("upsample_rates") or _USUAL_RATES.get(kernels)
    if rates is None or len(rates) != len(ups):
        raise ValueError(f"nobody knows the rates of upsamplers with kernels {kernels}")
    blocks = list(_numbered(tensors, "dec.resblocks"))
    per_stage = len(blocks) // max(len(ups), 1)
    sizes = [whole_weight(tensors, f"{name}.convs1.0").shape[2] for name in blocks[:per_stage]]
    config = GeneratorConfig(
        channels=len(first),
        stage_channels=tuple(weight.shape[1] for weight in ups),
        upsample_rates=tuple(int(rate) for rate in rates),
        upsample_kernels=kernels,
        block_kernels=tuple(sizes),
    )
    style = whole_weight(tensors, "dec.cond")[..., 0]  # [channels, style]
    generator = Generator(first.shape[1], config, style.shape[1])
    _set(generator.input, first, tensors["dec.conv_pre.bias"])
    _set(generator.style, style, tensors["dec.cond.bias"])
    _set(generator.output, whole_weight(tensors, "dec.conv_post"))
    for number, (layer, weight) in enumerate(zip(generator.upsamplers, ups, strict=True)):
        _set(layer, weight, tensors[f"dec.ups.{number}.bias"])
    ours = [block for block in generator.modules() if isinstance(block, ResidualBlock)]
    for block, name in zip(ours, blocks, strict=True):
        for layers, of in ((block.dilated, "convs1"), (block.plain, "convs2")):
            _take(layers, tensors, f"{name}.{of}")
    return generator


def make_discriminators(found: SoVITSFile) -> MultiDiscriminator:
    """Return the discriminators of a checkpoint: one of the wave, one a period."""
    tensors = found.tensors
    scale, *periods = _numbered(tensors, "discriminators")
    scales = [whole_weight(tensors, name) for name in _numbered(tensors, f"{scale}.convs")]
    layers = [whole_weight(tensors, name) for name in _numbered(tensors, f"{periods[0]}.convs")]
    config = DiscriminatorConfig(
        period_channels=tuple(len(weight) for weight in layers),
        period_kernel=layers[0].shape[2],
        scale_channels=tuple(len(weight) for weight in scales),
        scale_kernel=scales[1].shape[2],
        scale_group_width=scales[1].shape[1],
    )
    if len(periods) != len(config.periods):
        raise ValueError(f"periods must be {config.periods}, but there are {len(periods)}")
    judges = MultiDiscriminator(config)
    for judge, name in zip(judges.discriminators, (scale, *periods), strict=True):
        stack: Any = judge.stack
        _take(stack.layers, tensors, f"{name}.convs")
        _take([stack.output], tensors, name, ("conv_post",))
    return judges


def _take(
    layers: Any, tensors: Mapping[str, Tensor], name: str, numbers: tuple[str, ...] = ()
) -> None:
    """Give layers the weights `NAME.NUMBER`; those of two dimensions have one of size 1."""
    numbers = numbers or tuple(str(number) for number in range(len(layers)))
    for layer, number in zip(layers, numbers, strict=True):
        weight = whole_weight(tensors, f"{name}.{number}")
        _set(
            layer, weight[..., 0] if weight.ndim == 4 else weight, tensors[f"{name}.{number}.bias"]
        )


@torch.no_grad()
def _set(layer: Any, weight: Tensor | None, bias: Tensor | None = None) -> None:
    """Set weight and bias of a layer, whose weight may be kept as norm and direction.

    Raises:
        ValueError: they have other shapes.
    """
    for name, value in (("weight", weight), ("bias", bias)):
        if value is None:
            continue
        there = getattr(layer, name)
        if there.shape != value.shape:
            raise ValueError(
                f"a {name} must be {[*there.shape]} as its neighbours say, but is {[*value.shape]}"
            )
        if isinstance(there, nn.Parameter):
            there.copy_(value)
        else:
            setattr(layer, name, value)


def _numbered(tensors: Mapping[str, Tensor], name: str) -> list[str]:
    """Return `NAME.0`, `NAME.1`, ... as far as there are tensors."""
    parts = name.count(".") + 1
    numbers = {int(n.split(".")[parts]) for n in tensors if n.startswith(f"{name}.")}
    if not numbers or numbers != set(range(len(numbers))):
        raise ValueError(f"the checkpoint has no {name}.0 and so on; is it one of GPT-SoVITS v2?")
    return [f"{name}.{number}" for number in sorted(numbers)]


def _needed(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(f"the checkpoint has no {name}; is it one of GPT-SoVITS v1 or v2?")
    return tensors[name]


def _table(
    tensors: Mapping[str, Tensor], fate: Callable[[str], tuple[str, str]]
) -> list[ImportedPart]:
    counts: dict[str, int] = {}
    for name in tensors:
        counts[name.split(".")[0]] = counts.get(name.split(".")[0], 0) + 1
    return [ImportedPart(name, count, *fate(name)) for name, count in sorted(counts.items())]


def _save(out: Path, kind: str, module: Any) -> None:
    provenance = {HASH_KEY: module.fingerprint()} if isinstance(module, Quantizer) else {}
    config = asdict(module.config)
    save_component(
        out / f"{kind}.safetensors", module, kind=kind, config=config, provenance=provenance
    )

"""ONNX export of a bundle: one step of its GPT with cache, and its generator, as graphs.

`gsv2.inference.onnx_engine` speaks with them. `gpt_step.onnx` is the transformer over one more
input of each row; `generator.onnx` makes the waveform of latents (HiFi-GAN), or all that an inverse
STFT is made of (Vocos), which has no place in the graph: its source has a phase that runs on.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gsv2.files import atomic_file
from gsv2.inference.bundle_description import GENERATOR, GPT_STEP
from gsv2.models.gpt.single_step import rotations, step_layers
from gsv2.models.vits2.istft_generator import ISTFTGenerator

if TYPE_CHECKING:
    from transformers import Qwen2Model

    from gsv2.models.gpt.model import SemanticGPT
    from gsv2.models.vits2.model import VITS2

_TORCHVISION_LOG = logging.getLogger("torch.onnx._internal.exporter._registration")
_NEEDED = ("onnx", "onnxscript")
_EXAMPLE_ROWS = 2
_EXAMPLE_SEEN = 5
_EXAMPLE_FRAMES = 40


class ExportError(ValueError):
    """A model that cannot be exported; the message says why."""


class GPTStep(nn.Module):
    """The backbone over one more input of each row.

    Args:
        backbone: network of a GPT, without adapters.
    """

    def __init__(self, backbone: Qwen2Model) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(
        self, inputs: Tensor, rotation: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs [B, D], and keys and values [layers, B, H, T + 1, E].

        Args:
            inputs: [B, D].
            rotation: [2, B, 1, 1, E] cosines and signed sines of the rows' positions.
            keys: [layers, B, H, T, E] of what was seen.
            values: likewise.
            mask: [B, 1, 1, T + 1] 0, or -inf for what a row does not see.
        """
        cache = _GrownCache(keys, values)
        hidden = step_layers(self.backbone, inputs, rotation, cache, mask)
        return hidden, torch.stack(cache.keys), torch.stack(cache.values)


class _GrownCache:
    """Keys and values of layers, to which one position is appended; in tensors alone."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self._seen = (keys, values)
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def update(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        keys, values = self._seen
        self.keys.append(torch.cat([keys[layer], key], dim=2))
        self.values.append(torch.cat([values[layer], value], dim=2))
        return self.keys[-1], self.values[-1]


class GeneratorGraph(nn.Module):
    """The generator of a VITS2, as far as a graph goes.

    Args:
        vits2: model without weight norms, as bundles have it.
    """

    def __init__(self, vits2: VITS2) -> None:
        super().__init__()
        self.generator = vits2.generator

    @property
    def outputs(self) -> Sequence[str]:
        """Names of what `forward` returns."""
        if not isinstance(self.generator, ISTFTGenerator):
            return ["wave"]
        return ["projected", *(["log_hz", "voiced"] if self.generator.has_pitch else [])]

    def forward(self, z: Tensor, style: Tensor) -> tuple[Tensor, ...]:
        """Return the wave [1, 1, N]; or, for an inverse STFT, what the head makes of each frame.

        Args:
            z: [1, latent_channels, T].
            style: [1, style.dim].

        Returns:
            HiFi-GAN: the wave. Else [1, T, S]: what `FilterHead` or `SpectrumHead` calls projected,
            and with a harmonic source the pitch [1, T] and voicing [1, T] of `PitchContour`.
        """
        if not isinstance(self.generator, ISTFTGenerator):
            return (self.generator(z, style),)
        x = self.generator.features(z, style)
        projected = self.generator.head.project(x)
        if not self.generator.has_pitch:
            return (projected,)
        return (projected, *self.generator.pitch(x))


def export_graphs(gpt: SemanticGPT | None, vits2: VITS2, out: Path) -> list[Path]:
    """Write the graphs of a bundle's parts; what was there before is replaced.

    Args:
        gpt: GPT on the CPU, in fp32 and without adapters; None = the bundle has none.
        vits2: VITS2 on the CPU, in fp32.
        out: folder of the graphs; it is made.

    Returns:
        The files.

    Raises:
        ExportError: the extra `gsv2[onnx]` is not installed.
    """
    _check_exporter()
    out.mkdir(parents=True, exist_ok=True)
    written = [out / GENERATOR]
    _export_generator(GeneratorGraph(vits2).eval(), vits2, out / GENERATOR)
    if gpt is not None:
        _export_step(GPTStep(gpt.backbone).eval(), out / GPT_STEP)
        written.append(out / GPT_STEP)
    return written


def check_exportable(parts: Collection[str]) -> None:
    """Check that the graphs of a bundle with parts of these kinds can be written.

    Raises:
        ExportError: there is no GPT, or the extra `gsv2[onnx]` is not installed.
    """
    if "gpt" not in parts:
        raise ExportError("ONNX graphs are made of a bundle with a GPT, but there is none")
    _check_exporter()


def _check_exporter() -> None:
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ExportError(f"ONNX graphs need {' and '.join(missing)}: pip install 'gsv2[onnx]'")


def _export_step(step: GPTStep, file: Path) -> None:
    config = step.backbone.config
    B, T, heads = _EXAMPLE_ROWS, _EXAMPLE_SEEN, config.num_key_value_heads
    inputs = torch.zeros(B, config.hidden_size)
    rotation = rotations(step.backbone, T + 1, inputs)[:, [T] * B][:, :, None, None]
    shape = (config.num_hidden_layers, B, heads, T, rotation.shape[-1])
    keys, values, mask = torch.zeros(shape), torch.zeros(shape), torch.zeros(B, 1, 1, T + 1)
    rows, seen = (
        torch.export.Dim("rows", min=1, max=4096),
        torch.export.Dim("seen", min=1, max=2**16),
    )
    _write(
        step,
        {"inputs": inputs, "rotation": rotation, "keys": keys, "values": values, "mask": mask},
        ["hidden", "new_keys", "new_values"],
        [{0: rows}, {1: rows}, {1: rows, 3: seen}, {1: rows, 3: seen}, {0: rows, 3: seen + 1}],
        file,
    )


def _export_generator(graph: GeneratorGraph, vits2: VITS2, file: Path) -> None:
    z = torch.zeros(1, vits2.config.latent_channels, _EXAMPLE_FRAMES)
    style = torch.zeros(1, vits2.config.style.dim)
    frames = torch.export.Dim("frames", min=2, max=2**16)
    _write(graph, {"z": z, "style": style}, graph.outputs, [{2: frames}, {}], file)


def _write(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    shapes: Sequence[dict[int, Any]],
    file: Path,
) -> None:
    """Write the graph of a module, whole or not at all."""
    _TORCHVISION_LOG.setLevel(logging.ERROR)  # eight lines that it is not there
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of its own deprecations, and of equal lengths
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(shapes),
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "an export by dynamo returns a program"
    with atomic_file(file, OSError) as aside:
        aside.write_bytes(program.model_proto.SerializeToString())

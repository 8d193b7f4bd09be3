"""ONNX engine: a bundle's graphs under onnxruntime, in place of layers of its GPT and generator.

Two parts of speaking take nearly all of its time on a CPU: a step of the GPT for each code, and the
generator. They are graphs here; what stays in torch is what reads references, text and prompt, the
head that draws the codes of a frame, and the prior and flow of VITS2.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsv2.inference.bundle_description import (
    GENERATOR,
    GPT_STEP,
    GRAPHS,
    BundleError,
    read_bundle_description,
)
from gsv2.models.gpt.single_step import rotations_at
from gsv2.nn.key_value_cache import KeyValueCache

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, OrtValue
    from transformers import Qwen2Model


class BundleGraphs:
    """The graphs of a bundle, loaded.

    Args:
        bundle: folder of the bundle.

    Raises:
        BundleError: it has no graphs, or onnxruntime is not installed.
    """

    def __init__(self, bundle: Path) -> None:
        check_graphs(bundle)
        self._step = _open_session(bundle / GPT_STEP)
        self._generator = _open_session(bundle / GENERATOR)

    def backbone(self, layers: Qwen2Model) -> GraphBackbone:
        """Return what takes the place of a GPT's backbone, which reads the prompt."""
        return GraphBackbone(layers, self._step)

    def run_generator(self, z: Tensor, style: Tensor) -> tuple[Tensor, ...]:
        """See `gsv2.models.vits2.generator_stream.RunFrames`; of one clip."""
        found = self._generator.run(None, {"z": _to_numpy(z), "style": _to_numpy(style)})
        outputs = [torch.from_numpy(x) for x in found]
        names = [output.name for output in self._generator.get_outputs()]
        return (outputs[0][:, 0],) if names == ["wave"] else tuple(outputs)


class GraphBackbone(nn.Module):
    """The backbone of a GPT, whose steps after the prompt are a graph.

    Args:
        layers: network of which the graph was made; it reads the prompt.
        session: graph of one step.
    """

    def __init__(self, layers: Qwen2Model, session: InferenceSession) -> None:
        super().__init__()
        self.layers = layers
        self._session = session

    def start(self, cache: KeyValueCache, mask: Tensor) -> GraphStep:
        """Return the steps after what a cache holds, of which `mask` [B, T] bool is valid."""
        return GraphStep(self.layers, self._session, cache, mask)


class GraphStep:
    """The backbone over one more input a row, again and again; rows stay the same.

    Args:
        layers: network of which the graph was made; it knows the rotations.
        session: graph of one step.
        cache: keys and values so far.
        mask: [B, T] bool: what of them is valid.
    """

    has_room = True
    """Keys and values grow in the graph."""

    def __init__(
        self, layers: Qwen2Model, session: InferenceSession, cache: KeyValueCache, mask: Tensor
    ) -> None:
        self._layers = layers
        self._session = session
        self._positions = mask.sum(dim=1)
        seen = torch.zeros(len(mask), 1, 1, mask.shape[1])
        self._seen = seen.masked_fill_(~mask[:, None, None], -torch.inf)
        filled = cache.filled()
        pairs = [filled[layer] for layer in range(len(filled))]
        keys, values = (torch.stack(tensors) for tensors in zip(*pairs, strict=True))
        self._keys, self._values = _to_value(keys), _to_value(values)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output [B, D] for inputs [B, D]."""
        rotation = rotations_at(self._layers, self._positions, inputs)[:, :, None, None]
        self._seen = F.pad(self._seen, (0, 1))
        self._positions = self._positions + 1
        hidden, self._keys, self._values = self._session.run_with_ort_values(
            ["hidden", "new_keys", "new_values"],
            {
                "inputs": _to_value(inputs),
                "rotation": _to_value(rotation),
                "keys": self._keys,
                "values": self._values,
                "mask": _to_value(self._seen),
            },
        )
        return torch.from_numpy(hidden.numpy())

    def into(self, cache: KeyValueCache) -> None:
        """Give a cache all tokens so far."""
        keys, values = (torch.from_numpy(x.numpy()) for x in (self._keys, self._values))
        cache.refill(dict(enumerate(zip(keys, values, strict=True))))


def check_graphs(bundle: Path) -> None:
    """Check that a bundle can be spoken by onnxruntime.

    Raises:
        BundleError: it has no graphs, or onnxruntime is not installed.
    """
    description = read_bundle_description(bundle)
    if description.quantizer is None:
        raise BundleError(f"{bundle} has no GPT: a bundle of text to wave speaks with torch alone")
    if missing := [name for name in GRAPHS if name not in description.files]:
        raise BundleError(
            f"{bundle} has no {' and no '.join(missing)}; gsv2 export {bundle} --out NEW --onnx "
            "makes a bundle that has"
        )
    if find_spec("onnxruntime") is None:
        raise BundleError("the engine onnx needs onnxruntime: pip install 'gsv2[onnx]'")


def _open_session(file: Path) -> InferenceSession:
    """Return a graph that computes in as many threads as torch does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.numpy())


def _to_value(tensor: Tensor) -> OrtValue:
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(_to_numpy(tensor))

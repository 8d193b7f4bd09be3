"""Fake floats: a network runs without memory or arithmetic, and its live bytes are counted.

Floats are torch's fake tensors, which have a shape and a dtype over the meta device and nothing
else; the whole numbers that shapes depend on (lengths, places, masks) are real, and computed. What
is alive in between, for the backward pass too, is what a real pass would hold.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

_aten = torch.ops.aten
_INDEXING = (
    _aten.index,
    _aten.index_put,
    _aten.index_put_,
    _aten._index_put_impl_,
    _aten._unsafe_index,
    _aten._unsafe_index_put,
)
"""Operators whose second argument is a list of indices, masks among them."""


class FakeFloats(TorchDispatchMode):
    """Operators on fake floats are fake; those on real tensors alone are real."""

    def __init__(self) -> None:
        super().__init__()
        self._mode = FakeTensorMode()
        self._counted: dict[int, int] = {}  # storage -> bytes, of those alive
        self._stand_ins: dict[tuple[torch.Size, torch.dtype], Tensor] = {}
        self.live_bytes = 0
        """Bytes of what operators have made and somebody still holds."""
        self.peak_bytes = 0
        """Most of them at a time."""

    def fake(self, tensor: Tensor) -> Tensor:
        """Return a fake of a tensor, which does not count as made."""
        made = self._mode.from_tensor(tensor)
        self._remember(made, 0)
        return made

    @contextmanager
    def faked(self, *networks: nn.Module) -> Iterator[None]:
        """Make the parameters of networks fake inside; afterwards they are the real ones."""
        kept: list[tuple[dict[str, Any], str, nn.Parameter]] = []
        fakes: dict[int, Tensor] = {}  # of parameters that several modules share
        for network in networks:
            for module in network.modules():
                parameters: dict[str, Any] = module._parameters
                for name, parameter in parameters.items():
                    if parameter is None or isinstance(parameter, FakeTensor):
                        continue
                    kept.append((parameters, name, parameter))
                    key = id(parameter)
                    if key not in fakes:
                        fakes[key] = self.fake(parameter)
                    parameters[name] = fakes[key]
        try:
            yield
        finally:
            for parameters, name, parameter in kept:
                parameters[name] = parameter

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator."""
        if func is torch.ops.prim.device.default:  # most calls by far
            return func(*args)
        kwargs = kwargs or {}
        if func.overloadpacket in _INDEXING and isinstance(args[0], FakeTensor):
            args = (args[0], _as_places(args[1]), *args[2:])
        leaves, form = tree_flatten((args, kwargs))
        if not any(isinstance(leaf, FakeTensor) for leaf in leaves):
            return func(*args, **kwargs)
        args, kwargs = tree_unflatten([self._known(leaf) for leaf in leaves], form)
        made = func(*args, **kwargs)
        for leaf in made if isinstance(made, tuple | list) else (made,):
            if isinstance(leaf, FakeTensor):
                self._remember(leaf, leaf.untyped_storage().nbytes())
        return made

    def _known(self, value: Any) -> Any:
        """Return a fake for a real tensor, the same for all of a shape: nobody looks inside."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        key = (value.shape, value.dtype)
        if key not in self._stand_ins:
            self._stand_ins[key] = self.fake(value.detach().contiguous())
        return self._stand_ins[key]

    def _remember(self, tensor: Tensor, num_bytes: int) -> None:
        """Count the storage of a tensor until nobody holds it."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._counted:
            self._counted[key] = num_bytes
            weakref.finalize(storage, self._forget, key)
            self.live_bytes += num_bytes
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, key: int) -> None:
        self.live_bytes -= self._counted.pop(key)


def _as_places(indices: Any) -> list[Any]:
    """Return indices with places where there were real masks: their number is a shape."""
    places: list[Any] = []
    for index in indices:
        is_mask = isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
        is_real = is_mask and not isinstance(index, FakeTensor)
        places += index.nonzero().unbind(1) if is_real else [index]
    return places

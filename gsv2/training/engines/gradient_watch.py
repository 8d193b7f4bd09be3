"""Which parameters an update sends gradients to, whatever the engine does with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from gsv2.training.stage import Trainable


class StageError(RuntimeError):
    """A stage that breaks the contract of `gsv2.training.stage`."""


class GradientWatch:
    """Hooks on all parameters for the first step of a launch: later ones cost nothing.

    ZeRO takes gradients away as they come, so `parameter.grad` tells nothing.
    """

    def __init__(self, trainables: Mapping[str, Trainable]) -> None:
        self._reached: set[tuple[str, str]] = set()
        self._trained: dict[str, list[str]] = {}
        self._handles: list[RemovableHandle] = []
        for name, trainable in trainables.items():
            self._trained[name] = []
            for key, parameter in trainable.module.named_parameters():
                if parameter.requires_grad:
                    self._trained[name].append(key)
                    self._handles.append(parameter.register_hook(self._note(name, key)))

    def check(self, name: str) -> None:
        """Check that an update has trained all of its own network and nothing of the others.

        Raises:
            StageError: names a parameter.
        """
        for other, key in sorted(self._reached):
            if other != name:
                raise StageError(
                    f"the update of {name} sent a gradient to {other}.{key}; "
                    "use the other network inside `frozen()`, or detach"
                )
        for key in self._trained[name]:
            if (name, key) not in self._reached:
                raise StageError(f"{name}: parameter {key} got no gradient; drop or freeze it")
        self._reached.clear()

    def close(self) -> None:
        """Look no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _note(self, name: str, key: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._reached.add((name, key))

        return hook

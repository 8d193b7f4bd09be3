"""Compilation by torch.compile and config, one trainable at a time.

The network's own `__call__` is compiled in place, so that engines, names of parameters and
`frozen()` know nothing of it. What cannot be compiled runs as it was written, and says so.

Dropout and noise of a micro-batch still come from (seed, k) alone, so compiled runs agree with
each other on any number of ranks. They do not agree with uncompiled ones where there is dropout:
inductor draws other numbers from the same seed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from gsv2.seeds import RandomState

COMPILE_MODES = ("off", "default", "max-autotune-no-cudagraphs")
"""CUDA graphs are not among them: they overwrite the outputs of the micro-batch before, whose
backward pass may still come."""
_REASON_CHARACTERS = 300
"""Length that a compiler's error is cut to, which may be pages long."""

logger = logging.getLogger(__name__)


class CompileError(ValueError):
    """A `trainer.compile` section that cannot be used."""


def check_compile(modes: Mapping[str, str], names: Mapping[str, Any] | None = None) -> None:
    """Check modes and, if given, names of trainables.

    Raises:
        CompileError: names the entry and what it may be.
    """
    for name, mode in modes.items():
        if mode not in COMPILE_MODES:
            raise CompileError(
                f"trainer.compile.{name} must be one of {', '.join(COMPILE_MODES)}, but is {mode!r}"
            )
        if names is not None and name not in names:
            raise CompileError(
                f"trainer.compile.{name}: no such trainable; this stage has {', '.join(names)}"
            )


def compile_networks(
    modules: Mapping[str, nn.Module], modes: Mapping[str, str], backend: str = "inductor"
) -> None:
    """Let networks be compiled when they next run.

    Args:
        modules: trainable -> bare network.
        modes: trainable -> mode; networks without an entry stay as they are.
        backend: backend of torch.compile.

    Raises:
        CompileError: see `check_compile`; or torch has no such backend.
    """
    check_compile(modes, modules)
    for name, mode in modes.items():
        if mode != "off":
            module = modules[name]
            compiled = _compiled(module, mode, backend)
            module._compiled_call_impl = _Guarded(name, module, compiled)
            logger.info("%s is compiled as it first runs (%s, %s)", name, backend, mode)


def _compiled(module: nn.Module, mode: str, backend: str) -> Callable[..., Any]:
    from torch._dynamo.exc import InvalidBackend

    try:
        return torch.compile(module._call_impl, backend=backend, mode=_mode(mode, backend))
    except InvalidBackend as error:
        known = ", ".join(torch._dynamo.list_backends(exclude_tags=()))
        raise CompileError(
            f"trainer.compile_backend must be one of {known}, but is {backend!r}"
        ) from error


def _mode(mode: str, backend: str) -> str | None:
    """Return the mode as torch.compile wants it: only inductor has any."""
    return mode if backend == "inductor" else None


class _Guarded:
    """A compiled network that becomes an ordinary one when its compilation fails."""

    def __init__(self, name: str, module: nn.Module, compiled: Callable[..., Any]) -> None:
        self._name = name
        self._module = module
        self._compiled = compiled

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        from torch._dynamo.exc import TorchDynamoException

        noise = RandomState.of(next(self._module.parameters()).device)
        try:
            return self._compiled(*args, **kwargs)
        except TorchDynamoException as error:
            reason = " ".join(str(error).split())[:_REASON_CHARACTERS]
            logger.warning("%s RUNS UNCOMPILED: torch.compile failed: %s", self._name, reason)
            self._module._compiled_call_impl = None
            noise.restore()  # a part of the network may have run
            return self._module(*args, **kwargs)

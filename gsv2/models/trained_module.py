"""Trained networks from their components: compared first, built then.

The network of the config is laid out without memory (torch's `meta` device); only if its tensors
are those of the file is it built, so that absurd sizes cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.overrides import TorchFunctionMode

from gsv2.models.component import Component, ComponentError

ConfigT = TypeVar("ConfigT")
ModuleT = TypeVar("ModuleT", bound=nn.Module)

_MODULES_PER_TENSOR = 8
"""More modules than this for each tensor of the file: layers that the file does not hold."""
_MODULES_ANYWAY = 256
"""Modules that may be laid out however few tensors there are."""
_REFUSALS = (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, AssertionError)
"""Errors of torch and the libraries of layers for sizes that no layer can have."""


def build_trained(
    component: Component, schema: type[ConfigT], make: Callable[[ConfigT], ModuleT]
) -> ModuleT:
    """Return the network of a component with its weights.

    Raises:
        ComponentError: as `check_trained`.
    """
    config = check_trained(component, schema, make)
    module = make(config)
    module.load_state_dict(component.tensors)
    return module


def check_trained(
    component: Component, schema: type[ConfigT], make: Callable[[ConfigT], nn.Module]
) -> ConfigT:
    """Check that a component holds the weights of its config; builds nothing.

    Args:
        component: content of a component file.
        schema: dataclass of the config.
        make: builds the network from the config.

    Returns:
        The config.

    Raises:
        ComponentError: a config that is damaged, or tensors that are missing, too many, of
            another shape or type than the config says, or not finite; the message names the
            file and the key.
    """
    config = component.read_config(schema)
    try:
        most = _MODULES_PER_TENSOR * len(component.tensors) + _MODULES_ANYWAY
        with torch.device("meta"), _WithoutValues(), _at_most(most):
            wanted = make(config).state_dict()
    except _REFUSALS as error:
        reason = " ".join(str(error).split())
        raise ComponentError(
            f"{component.name}: no network of its config can hold its weights: {reason}"
        ) from error
    _compare(component.name, component.tensors, wanted)
    for key, value in component.tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ComponentError(f"{component.name}: {key} holds NaN or infinite values")
    return config


def _compare(name: str, there: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and types of tensors."""
    for key in sorted(there.keys() | wanted.keys()):
        if key not in there:
            raise ComponentError(f"{name}: {key} is missing, which its config asks for")
        if key not in wanted:
            raise ComponentError(f"{name}: {key} is there, which its config does not know")
        if there[key].shape != wanted[key].shape:
            raise ComponentError(
                f"{name}: the shape of {key} must be {tuple(wanted[key].shape)} by its config, "
                f"but is {tuple(there[key].shape)}"
            )
        if there[key].dtype != wanted[key].dtype:
            raise ComponentError(
                f"{name}: the type of {key} must be {wanted[key].dtype}, but is {there[key].dtype}"
            )


class _WithoutValues(TorchFunctionMode):
    """Leaves out what only gives tensors of the `meta` device values, which they do not have.

    It would take most of the time there, and its first call imports torch's compiler: seconds.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Stand in for a function of torch."""
        named = kwargs or {}
        if func is Tensor.normal_ or getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else named["tensor"]
        if func is torch.norm_except_dim:  # of weight_norm
            weight, _, kept = args
            return weight.new_empty([n if d == kept else 1 for d, n in enumerate(weight.shape)])
        return func(*args, **named)


@contextmanager
def _at_most(most: int) -> Iterator[None]:
    """Stop a network from growing beyond `most` modules inside the block."""
    count = 0

    def refuse(_module: nn.Module, _name: str, _submodule: Any) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise ValueError(f"it has more than {most} modules")

    hook = register_module_module_registration_hook(refuse)
    try:
        yield
    finally:
        hook.remove()

"""Which module computes in which dtype.

Parameters stay in fp32; a stage opens `autocast` around each module's forward pass. Autocast
on CPU keeps other operations in half precision than on CUDA, so the policy names modules, not
operations: what must not lose precision (STFT, KL, losses) has its own entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch

DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"fp32": torch.float32, "bf16": torch.bfloat16}
)
FP32_ONLY: Mapping[str, str] = MappingProxyType(
    {
        "quantizer": "half precision flips codes (6-7 % of them at residual level 4)",
        "mhubert": "mHuBERT-147 overflows in half precision",
        "losses": "STFT, mel, KL and the losses lose their small terms",
    }
)
"""Module -> why it must compute in fp32."""


class PrecisionError(ValueError):
    """A precision policy that cannot be used."""


class PrecisionPolicy:
    """Module names -> dtypes, checked; modules that are not named compute in fp32."""

    def __init__(self, policy: Mapping[str, str], modules: Sequence[str]) -> None:
        """Check a policy.

        Args:
            policy: the `precision` section.
            modules: names that the stage computes under, e.g. `("ssl", "quantizer")`.

        Raises:
            PrecisionError: unknown module, unknown dtype, or a combination known to fail.
        """
        for name, dtype in policy.items():
            if name not in modules:
                raise PrecisionError(
                    f"precision.{name}: no such module; this stage has {', '.join(modules)}"
                )
            if dtype not in DTYPES:
                raise PrecisionError(
                    f"precision.{name} must be one of {', '.join(DTYPES)}, but is {dtype!r}"
                )
            if dtype != "fp32" and name in FP32_ONLY:
                raise PrecisionError(
                    f"precision.{name} must be fp32, but is {dtype}: {FP32_ONLY[name]}"
                )
        self._names = {name: policy.get(name, "fp32") for name in modules}

    def dtype(self, module: str) -> torch.dtype:
        """Return the dtype that `module` computes in."""
        return DTYPES[self._names[module]]

    def autocast(self, module: str, device: torch.device) -> torch.autocast:
        """Return the context in which `module` runs; fp32 switches an outer autocast off."""
        dtype = self.dtype(module)
        if dtype == torch.float32:
            return torch.autocast(device.type, enabled=False)
        return torch.autocast(device.type, dtype=dtype)

    def table(self) -> dict[str, str]:
        """Return module name -> name of its dtype, for people."""
        return dict(self._names)

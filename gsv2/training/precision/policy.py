"""Policy of precision: which module computes in which dtype.

Parameters stay in fp32; a stage opens `autocast` around each module's forward pass. Autocast
on CPU keeps other operations in half precision than on CUDA, so the policy names modules, not
operations: what must not lose precision (STFT, KL, losses) has its own entry. What modules really
compute in is seen by `gsv2.training.precision.probes`; `gsv2.training.precision.loss_scale` goes
with fp16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import nn

DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
)
FP32_ONLY: Mapping[str, str] = MappingProxyType(
    {
        "quantizer": "half precision flips codes (6-7 % of them at residual level 4)",
        "mhubert-147": "mHuBERT-147 overflows in half precision",
        "logmel": "its STFT and mel bands lose their small terms",
        "losses": "STFT, mel, KL and the losses lose their small terms",
    }
)
"""Module, or what a module is -> why it must compute in fp32."""


class PrecisionError(ValueError):
    """A precision policy that cannot be used."""


class PrecisionPolicy:
    """Module names -> dtypes, checked; modules that are not named compute in fp32."""

    def __init__(
        self,
        policy: Mapping[str, str],
        modules: Sequence[str],
        kinds: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Check a policy.

        Args:
            modules: names that the stage computes under, e.g. `("ssl", "quantizer")`.
            kinds: what modules are, where their names do not say it: `{"ssl": "mhubert"}`.

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
            reason = FP32_ONLY.get(kinds.get(name, name))
            if dtype != "fp32" and reason is not None:
                raise PrecisionError(f"precision.{name} must be fp32, but is {dtype}: {reason}")
        self._names = {name: policy.get(name, "fp32") for name in modules}
        self.frozen: dict[str, nn.Module] = {}
        """Networks that compute under a name of their own but do not train; the stage's to fill."""

    def dtype(self, module: str) -> torch.dtype:
        """Return the dtype that `module` computes in."""
        return DTYPES[self._names[module]]

    def autocast(self, module: str, device: torch.device) -> torch.autocast:
        """Return the context in which `module` runs; fp32 switches an outer autocast off."""
        dtype = self.dtype(module)
        if dtype == torch.float32:
            return torch.autocast(device.type, enabled=False)
        return torch.autocast(device.type, dtype=dtype)

    @property
    def needs_loss_scale(self) -> bool:
        """Whether gradients pass through fp16, where small ones become 0."""
        return "fp16" in self._names.values()

    def table(self) -> dict[str, str]:
        """Return module name -> name of its dtype, for people."""
        return dict(self._names)

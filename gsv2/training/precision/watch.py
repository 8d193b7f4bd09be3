"""Watch over the precision of a launch: probes that are gone after its first steps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from gsv2.training.distributed.ranks import Distributed
from gsv2.training.precision.policy import PrecisionPolicy
from gsv2.training.precision.probes import ModulePrecision, PrecisionProbes, planned_precision

PROBED_STEPS = 2
"""Steps of a launch that are looked at."""

logger = logging.getLogger(__name__)


class PrecisionWatch:
    """Says what a stage will compute in, sees to it, and says what it did compute in.

    Args:
        trained: trainable -> bare network.
        note: writes a key into `environment.json`; called on the main rank.
    """

    def __init__(
        self,
        policy: PrecisionPolicy,
        trained: Mapping[str, nn.Module],
        distributed: Distributed,
        note: Callable[[str, Any], None],
    ) -> None:
        self._distributed = distributed
        self._note = note
        self._steps_left = PROBED_STEPS
        self._probes: PrecisionProbes | None = PrecisionProbes(policy, trained)
        self._probes.attach()
        self._log(planned_precision(policy, trained))

    @property
    def is_over(self) -> bool:
        """Whether it looks no longer."""
        return self._probes is None

    def see(self, losses: Mapping[str, Tensor]) -> None:
        """Look at the losses of an update: what each is -> [] tensor."""
        if self._probes is not None:
            self._probes.see(losses)

    def end_step(self, *, is_last: bool = False) -> None:
        """Judge what was seen, after each step. Collective as long as it looks.

        Args:
            is_last: look no longer.

        Raises:
            PrecisionError: on every rank, if a module of one computed in another dtype.
        """
        probes = self._probes
        if probes is None:
            return
        self._steps_left -= 1
        is_last = is_last or self._steps_left <= 0
        try:
            self._distributed.on_all(probes.check)
        except ValueError:
            is_last = True
            raise
        finally:
            if is_last:
                probes.detach()
                self._probes = None
        if is_last:
            self._log(probes.table())

    def _log(self, table: list[ModulePrecision]) -> None:
        for entry in table:
            logger.info("precision of %s", entry)
        entries = [asdict(entry) for entry in table]
        self._distributed.on_main(lambda: self._note("precision", entries))

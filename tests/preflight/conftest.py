from __future__ import annotations

import pytest

from gsv2.training.distributed.ranks import Distributed


@pytest.fixture(scope="session")
def distributed() -> Distributed:
    """One process."""
    return Distributed()

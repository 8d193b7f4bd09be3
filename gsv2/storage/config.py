"""Config of remote reads, the `data.remote` section of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

_REMOTE_AMOUNTS = (
    *("retries", "backoff_sec", "timeout_sec"),
    *("min_bytes_per_sec", "rate_window_sec", "cache_gb"),
)


@dataclass(frozen=True, kw_only=True)
class RemoteConfig:
    """Retries, time-outs, rates and the cache of files that are not local."""

    retries: int = 6
    """Attempts after a failed read before the run stops; each goes on at the byte reached."""
    backoff_sec: float = 0.5
    """Wait before the first retry; it doubles with each."""
    timeout_sec: float = 60.0
    """Silence of a server that counts as a failed read; an HTTP server must give all headers of an
    answer within it."""
    min_bytes_per_sec: float = 1024.0
    """Slower servers count as failed reads; 0 = any rate is right."""
    rate_window_sec: float = 60.0
    """Waiting for a server over which its rate is taken."""
    cache_dir: str | None = None
    """Folder that keeps whole tars, read from there by memory map; None = read in one pass, keep
    nothing. Shared by all processes of a machine."""
    cache_gb: float = 100.0
    """Most that the folder holds, in GB; the tar unused for longest goes first."""

    def __post_init__(self) -> None:
        """Check the values that no type can."""
        for name in _REMOTE_AMOUNTS:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"data.remote.{name} must be a number of at least 0, "
                    f"but is {getattr(self, name)}"
                )

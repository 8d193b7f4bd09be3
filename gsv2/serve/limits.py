"""Limits of a server: what a request may bring, how many may wait, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, fields

MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What keeps a server's memory and time bounded, whatever is sent."""

    max_text_characters: int = 4096
    """Code points of a text; OpenAI's limit."""
    max_upload_bytes: int = 10 * MEBIBYTE
    """Bytes of an uploaded recording."""
    max_text_bytes: int = MEBIBYTE // 4
    """Bytes of a request without a recording."""
    max_upload_sec: float = 30.0
    """Time in which the whole of a request must have arrived."""
    max_waiting: int = 16
    """Requests that may wait while one is spoken; further ones are told to come again."""
    max_request_sec: float = 300.0
    """Time from the arrival of a request to the last byte of its answer."""
    max_voices: int = 64
    """Uploaded voices that are kept; they live as long as the server."""
    stop_sec: float = 20.0
    """Time that a stopping server gives to answers that have begun."""

    def __post_init__(self) -> None:
        """Check that each limit leaves something."""
        for field in fields(self):
            least = 0 if field.name in ("max_waiting", "max_voices") else 1
            if not getattr(self, field.name) >= least:
                raise ValueError(
                    f"{field.name} must be at least {least}, but is {getattr(self, field.name)}"
                )

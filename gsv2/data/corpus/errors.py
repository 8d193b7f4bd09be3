"""Errors of clips."""

from __future__ import annotations


class ClipError(ValueError):
    """A clip that cannot be read.

    Args:
        reason: why, with values.
        member: member that is missing or damaged.
        kind: a fixed phrase, by which clips are counted; None = the reason is one.
    """

    def __init__(self, reason: str, member: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.member = member
        self.kind = kind or reason

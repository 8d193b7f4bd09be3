"""Findings of one rank, and what comes of those of all ranks; loads no library of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Status = Literal["ok", "warn", "fail"]
_SEVERITY: tuple[Status, ...] = ("ok", "warn", "fail")
_MAX_NAMED = 4
"""Ranks that are named one by one."""
_LEAST_ROOM_GIB = 5.0
"""Less free disk or memory than this is worth a warning."""
_GIB = 2**30


class Finding(NamedTuple):
    """One line of the table."""

    name: str
    """Name of what was looked at."""
    status: Status
    """Verdict; `fail` stops the run."""
    detail: str
    """Values that were found, or the reason."""


@dataclass(frozen=True, kw_only=True)
class RankReport:
    """Facts and findings of one rank by itself."""

    host: str
    """Name of its machine."""
    facts: Mapping[str, Mapping[str, str]]
    """Group -> name -> value; each should be equal on all ranks."""
    findings: tuple[Finding, ...]
    """Results of its checks."""


def attempt(name: str, check: Callable[[], str | Finding]) -> Finding:
    """Return what a check finds; what it raises is a failure."""
    try:
        found = check()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        return Finding(name, "fail", " ".join(str(error).split()) or type(error).__name__)
    return found if isinstance(found, Finding) else Finding(name, "ok", found)


def check_room(name: str, free_bytes: float, where: str) -> Finding:
    """Return a warning if little disk or memory is free."""
    status: Status = "ok" if free_bytes >= _LEAST_ROOM_GIB * _GIB else "warn"
    return Finding(name, status, f"{free_bytes / _GIB:.1f} GiB free {where}".rstrip())


def merge(reports: Sequence[RankReport], critical: Sequence[str]) -> list[Finding]:
    """Return one finding for each group of facts and each name of findings.

    Args:
        reports: reports of all ranks, in their order.
        critical: groups of facts that must not differ; others are warned of.
    """
    merged = []
    for group in reports[0].facts:
        status: Status = "fail" if group in critical else "warn"
        merged.append(_compare(group, reports, status))
    names = dict.fromkeys(found.name for report in reports for found in report.findings)
    return merged + [_worst(name, reports) for name in names]


def _compare(group: str, reports: Sequence[RankReport], status: Status) -> Finding:
    """Return whether a group of facts is equal on all ranks; if not, what differs where."""
    names = dict.fromkeys(name for report in reports for name in report.facts[group])
    differing = []
    for name in names:
        ranks_of: dict[str, list[int]] = {}
        for rank, report in enumerate(reports):
            ranks_of.setdefault(report.facts[group].get(name, "none"), []).append(rank)
        if len(ranks_of) > 1:
            values = (f"{value} on {_places(ranks, reports)}" for value, ranks in ranks_of.items())
            differing.append(f"{name}: {', '.join(values)}")
    if differing:
        return Finding(group, status, "; ".join(differing))
    same = ", ".join(f"{name} {value}" for name, value in reports[0].facts[group].items())
    return Finding(group, "ok", same or "nothing set")


def _worst(name: str, reports: Sequence[RankReport]) -> Finding:
    """Return the worst of the ranks' findings of one name, and who has it."""
    found = [
        (rank, finding)
        for rank, report in enumerate(reports)
        for finding in report.findings
        if finding.name == name
    ]
    status = max((finding.status for _, finding in found), key=_SEVERITY.index)
    if status == "ok":
        return found[0][1]
    ranks_of: dict[str, list[int]] = {}
    for rank, finding in found:
        if finding.status == status:
            ranks_of.setdefault(finding.detail, []).append(rank)
    details = (f"{_places(ranks, reports)}: {detail}" for detail, ranks in ranks_of.items())
    return Finding(name, status, "; ".join(details))


def _places(ranks: Sequence[int], reports: Sequence[RankReport]) -> str:
    """Return a few words for some ranks and the machines they are on."""
    if len(ranks) == len(reports) > 1:
        return "all ranks"
    hosts = ", ".join(dict.fromkeys(reports[rank].host for rank in ranks[:_MAX_NAMED]))
    numbers = ", ".join(map(str, ranks[:_MAX_NAMED]))
    more = f" and {len(ranks) - _MAX_NAMED} more" if len(ranks) > _MAX_NAMED else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {numbers}{more} ({hosts})"

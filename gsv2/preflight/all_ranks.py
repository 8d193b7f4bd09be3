"""Preflight: all checks of a run on all of its ranks."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from gsv2.config import config_to_dict
from gsv2.preflight.collective_checks import (
    check_clocks,
    check_run_folder,
    check_sums,
    check_target,
)
from gsv2.preflight.corpora import check_corpora
from gsv2.preflight.machine import code_facts, device_facts, environment_facts, version_facts
from gsv2.preflight.report import Finding, RankReport, merge
from gsv2.preflight.run_checks import build_stage, check_config, check_machine, read_config
from gsv2.stages import members_of
from gsv2.training.config import RunConfig
from gsv2.training.distributed.ranks import Distributed

_CRITICAL = ("code", "versions", "config")
_CONFIG = ("config", "config file")
"""Findings without which nothing that the config names is tried."""


def check_all_ranks(
    config_path: Path, overrides: Sequence[str], ranks: Distributed, *, host: str | None = None
) -> list[Finding]:
    """Check a run on all ranks, and return the same findings on each. Collective.

    Args:
        config_path: YAML file of the run.
        overrides: `section.key=value` strings.
        ranks: all of the run.
        host: name of this machine; None asks it.
    """
    config, read = read_config("config file", config_path, overrides)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = max(1, ranks.world // local)
    mine = RankReport(
        host=host or socket.gethostname(),
        facts={
            "code": code_facts(),
            "versions": version_facts(),
            "config": _config_facts(config),
            "environment": environment_facts(),
            "device": device_facts(ranks.device),
        },
        findings=(read, *_look_around(config, ranks, nodes, local)),
    )
    reports = ranks.gather(mine)
    findings = [Finding("ranks", "ok", f"{ranks.world} on {nodes} machines, {local} each")]
    findings += merge(reports, _CRITICAL)
    findings += [check_clocks(ranks), check_sums(ranks, nodes)]
    if config is None or any(found.status == "fail" for found in findings if found.name in _CONFIG):
        return findings
    run_folder = Path(config.run.dir) / config.run.name
    findings.append(check_run_folder(ranks, run_folder))
    findings.append(check_target(ranks, config.checkpoint.target, config.run.name))
    return findings


def _look_around(
    config: RunConfig | None, ranks: Distributed, nodes: int, local: int
) -> Iterator[Finding]:
    """Yield what this rank finds by itself; nothing is raised for what is wrong."""
    yield from check_machine(ranks.device, local, nodes, config.data.workers if config else 0)
    if config is None:
        return
    yield from check_config(config, ranks.world)
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:  # one for each machine
        stage, findings = build_stage(config)
        yield from findings
        yield from check_corpora(config.data, members_of(config), stage)


def _config_facts(config: RunConfig | None) -> dict[str, str]:
    if config is None:
        return {"sha256": "unreadable"}
    text = json.dumps(config_to_dict(config), sort_keys=True, default=str)
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()[:12]}

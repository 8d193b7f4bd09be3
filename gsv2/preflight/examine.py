"""All checks of a run on all of its ranks."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from gsv2.config import config_to_dict, load_config
from gsv2.data.plan.plan import check_layout, check_step
from gsv2.preflight.corpora import check_corpora
from gsv2.preflight.machine import (
    check_devices,
    check_disk,
    check_limits,
    check_shared_memory,
    code_facts,
    device_facts,
    environment_facts,
    version_facts,
)
from gsv2.preflight.report import Finding, RankReport, attempt, merge
from gsv2.preflight.together import check_clocks, check_run_folder, check_sums, check_target
from gsv2.stages import SCHEMAS, STAGES
from gsv2.train import check_sections
from gsv2.training.distributed import Distributed
from gsv2.training.rehearsal import check_names
from gsv2.training.run import RunConfig
from gsv2.training.stage import Stage
from gsv2.training.telemetry.folder import free_bytes

_CRITICAL = ("code", "versions", "config")
_CONFIG = ("config", "config file")
"""Findings without which nothing that the config names is tried."""


def examine(
    config_path: Path, overrides: Sequence[str], ranks: Distributed, *, host: str | None = None
) -> list[Finding]:
    """Check a run on all ranks, and return the same findings on each. Collective.

    Args:
        config_path: YAML file of the run.
        overrides: `section.key=value` strings.
        ranks: all of the run.
        host: name of this machine; None asks it.
    """
    config: RunConfig | None = None
    try:
        config = load_config(config_path, overrides, SCHEMAS)
        read = Finding("config file", "ok", f"{config_path}: stage {config.stage}")
    except (ValueError, OSError) as error:
        read = Finding("config file", "fail", str(error))
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
    findings.append(check_target(ranks, config))
    return findings


def _look_around(
    config: RunConfig | None, ranks: Distributed, nodes: int, local: int
) -> Iterator[Finding]:
    """Yield what this rank finds by itself; nothing is raised for what is wrong."""
    workers = config.data.workers if config else 0
    yield attempt("devices", lambda: check_devices(ranks.device, local, workers))
    yield attempt("shared memory", lambda: check_shared_memory(local, workers))
    yield attempt("limits", lambda: check_limits(nodes))
    if config is None:
        return
    yield attempt("lanes", lambda: _check_lanes(config, ranks.world))
    yield attempt("sections", lambda: _check_sections(config))
    yield attempt("disk", lambda: check_disk(free_bytes(Path(config.run.dir))))
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:  # one for each machine
        stage: Stage | None = None
        try:
            stage = STAGES[config.stage][1](config, torch.device("cpu"))
            check_names(config, stage.trainables)
            yield Finding("model", "ok", ", ".join(stage.trainables))
        except (ValueError, OSError) as error:
            yield Finding("model", "fail", str(error))
        yield from check_corpora(config.data, STAGES[config.stage][1].members, stage)


def _check_sections(config: RunConfig) -> Finding:
    doubts = check_sections(config)
    return Finding("sections", "warn" if doubts else "ok", "; ".join(doubts) or "fit together")


def _check_lanes(config: RunConfig, world: int) -> str:
    """Check that ranks and workers share lanes and micro-batches."""
    data = config.data
    check_layout(data.lanes, world, data.workers)
    check_step(data.micro_batches_per_step, world)
    workers = max(data.workers, 1)
    accumulated = data.micro_batches_per_step // world
    return f"{data.lanes} for {world} ranks x {workers} workers, {accumulated} micro-batches a step"


def _config_facts(config: RunConfig | None) -> dict[str, str]:
    if config is None:
        return {"sha256": "unreadable"}
    text = json.dumps(config_to_dict(config), sort_keys=True, default=str)
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()[:12]}

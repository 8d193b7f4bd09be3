"""Evaluation that a bundle carries: the figures of `evaluation.json`, beside its weights.

Sounds and single sentences stay where they were evaluated.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gsv2.evaluation.estimates import Estimate
from gsv2.evaluation.report import EvaluationReport, Figures, json_values
from gsv2.files import write_atomically
from gsv2.inference.bundle_description import FILE as DESCRIPTION
from gsv2.inference.bundle_description import GRAPHS, BundleError, read_bundle_description

logger = logging.getLogger(__name__)

FILE = "evaluation.json"
_MAX_BYTES = 4 << 20


def hash_bundle(bundle: Path) -> str:
    """Return a hash of all that a bundle speaks by: its parts, and not the graphs made of them.

    Raises:
        BundleError: there is no bundle.
    """
    files = read_bundle_description(bundle).files
    parts = sorted((name, digest) for name, digest in files.items() if name not in GRAPHS)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def keep_evaluation(report: EvaluationReport, bundle: Path) -> None:
    """Write the figures of a report into its bundle, in place of those of before."""
    values = {
        "bundle_sha256": hash_bundle(bundle),
        "num_sentences": report.num_sentences,
        "notes": list(report.notes),
        "figures": json_values(report.figures),
    }
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(bundle / FILE, text + "\n")


def read_kept_evaluation(bundle: Path) -> EvaluationReport | None:
    """Return the figures that a bundle carries, without its sentences; None if it has none.

    Raises:
        BundleError: the file is damaged, or of other weights.
    """
    path = bundle / FILE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it must have at most {_MAX_BYTES} bytes")
        values = json.loads(path.read_bytes())
        of, count = values["bundle_sha256"], int(values["num_sentences"])
        notes = tuple(str(note) for note in values["notes"])
        figures = _parse(values["figures"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path} holds no evaluation of a bundle: {error!r}") from error
    if of not in (hash_bundle(bundle), _hash_of_old(bundle)):
        raise BundleError(f"{path} is of other weights than those beside it; evaluate them again")
    return EvaluationReport(
        bundle=str(bundle), results=(), figures=figures, notes=notes, num_sentences=count
    )


def carry_evaluation(sources: Iterable[Path], bundle: Path) -> None:
    """Give a bundle the evaluation of the bundle that it was made from, if its parts are the same.

    An evaluation that is damaged, or of other weights, stays where it is; a warning names it.

    Args:
        sources: runs or bundles that it was made from.
        bundle: newly written.
    """
    for source in sources:
        if not (source / DESCRIPTION).is_file() or hash_bundle(source) != hash_bundle(bundle):
            continue
        try:
            report = read_kept_evaluation(source)
        except BundleError as error:
            logger.warning("the bundle has no evaluation: %s", error)
            continue
        if report is not None:
            keep_evaluation(report, bundle)


def _hash_of_old(bundle: Path) -> str:
    """Return what builds before this one wrote in place of `hash_bundle`."""
    return hashlib.sha256((bundle / DESCRIPTION).read_bytes()).hexdigest()


def _parse(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figures:
    return {
        str(scope): {
            str(name): {str(source): _estimate(of) for source, of in by_source.items()}
            for name, by_source in by_name.items()
        }
        for scope, by_name in figures.items()
    }


def _estimate(values: Mapping[str, Any]) -> Estimate:
    """Return an estimate; what JSON could not hold, as infinity, is not a number."""
    value, low, high = (values[key] for key in ("value", "low", "high"))
    return Estimate(
        float("nan") if value is None else float(value),
        None if low is None else float(low),
        None if high is None else float(high),
        int(values["num_sentences"]),
    )

"""Model card of a bundle (arXiv 1810.03993): what it heard, what it cost, what is understood of it.

Everything stands in the bundle: `provenance.json` from the ledgers of its runs, `evaluation.json`
from its evaluation. What is not known is said to be so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

from gsv2.data.corpus.provenance import CorpusProvenance
from gsv2.evaluation.bundle_evaluation import read_kept_evaluation
from gsv2.evaluation.tables import Table, by_scope_table, figure_table
from gsv2.inference.bundle import load_bundle
from gsv2.inference.bundle_description import BundleDescription, read_bundle_description
from gsv2.inference.bundle_provenance import PartProvenance, read_provenance

TEMPLATE = "model_card.md.j2"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a bundle, as a card shows it."""

    name: str
    values: int
    """Parameters and buffers, counted in numbers."""
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card tells."""

    name: str
    """Title."""
    licence: str | None
    """Licence of the weights, by whoever publishes them; None = nobody said."""
    description: BundleDescription
    parts: Sequence[Part]
    provenance: Mapping[str, PartProvenance]
    corpora: Sequence[CorpusProvenance]
    """All corpora that a part has read, each once."""
    is_complete: bool
    """Whether the corpora of all parts are known."""
    figures: Table | None
    """Figures over all sentences; None if nobody evaluated."""
    by_language: Table | None
    num_sentences: int
    notes: Sequence[str]

    @property
    def hours(self) -> dict[str, float]:
        """Language -> hours of the corpora."""
        return _sum(corpus.languages for corpus in self.corpora)

    @property
    def licences(self) -> dict[str, float]:
        """Licence of clips -> hours of the corpora; "" = not named."""
        return _sum(corpus.licences for corpus in self.corpora)

    @property
    def device_hours(self) -> dict[str, float]:
        """Device -> hours of all parts together."""
        return _sum({p.device or "unknown": p.device_hours} for p in self.provenance.values())


def collect_facts(bundle: Path, name: str, licence: str | None = None) -> CardFacts:
    """Return what a bundle tells of itself.

    Raises:
        BundleError: it is damaged.
    """
    components = load_bundle(bundle)
    description = read_bundle_description(bundle)
    provenance, report = read_provenance(bundle), read_kept_evaluation(bundle)
    known = [part.corpora for part in provenance.values()]
    scopes = 0 if report is None else len(report.figures)
    return CardFacts(
        name=name,
        licence=licence,
        description=description,
        parts=[
            Part(
                name=kind,
                values=sum(tensor.numel() for tensor in component.tensors.values()),
                num_bytes=(bundle / f"{kind}.safetensors").stat().st_size,
                sha256=description.files[f"{kind}.safetensors"],
            )
            for kind, component in components.items()
        ],
        provenance=provenance,
        corpora=list({(c.sha256, c.part): c for of in known for c in of or ()}.values()),
        is_complete=provenance.keys() == components.keys() and None not in known,
        figures=None if report is None else figure_table(report),
        by_language=None if report is None or scopes < 3 else by_scope_table(report),
        num_sentences=0 if report is None else report.num_sentences,
        notes=() if report is None else report.notes,
    )


def render_card(facts: CardFacts) -> str:
    """Return the card in Markdown, which begins with the metadata that hubs read."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["cell"] = _cell
    template = files("gsv2.hub").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(facts=facts).rstrip() + "\n"


def _cell(value: object) -> str:
    """Return a value as a cell of a table holds it; names come from anybody's files."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for name, hours in part.items():
            total[name] += hours
    return dict(sorted(total.items()))

import shutil

import yaml

from gsv2.data.corpus.provenance import CorpusProvenance
from gsv2.evaluation.bundle_evaluation import keep_evaluation
from gsv2.evaluation.estimates import Measurement
from gsv2.evaluation.report import make_report
from gsv2.evaluation.sentence_result import SentenceResult
from gsv2.hub.model_card import collect_facts, render_card
from gsv2.inference.bundle_provenance import PartProvenance, write_provenance

CORPUS = CorpusProvenance(
    name="corpora/radio | <b>",
    sha256="ab" * 32,
    part="all",
    clips=100,
    speakers=3,
    languages={"en": 1.5, "no": 0.5},
    licences={"": 0.25, "CC0-1.0": 1.75},
)
PART = PartProvenance(
    run="gpt",
    step=7,
    clips_seen=300,
    hours_seen={"en": 3.0},
    wall_hours=2.0,
    ranks=8,
    device="A100",
    corpora=(CORPUS,),
)


def row(number, errors):
    return SentenceResult(
        key=str(number),
        text="a b c d",
        language="en",
        speaker="anna",
        fingerprint="",
        prompt_ids=["p"],
        measures={"wer/ear": {"generated": Measurement(errors, 4)}},
    )


def test_a_card_tells_hours_licences_cost_and_figures_with_intervals(tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    kinds = ("quantizer", "gpt", "vits2")
    write_provenance(bundle, {kind: PART for kind in kinds})
    keep_evaluation(make_report("bundle", [row(0, 1), row(1, 3)], ["deaf to ar"]), bundle)
    card = render_card(collect_facts(bundle, "me/tiny", "CC-BY-4.0"))
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["language"] == ["en", "no"]  # `no` unquoted is false
    assert metadata["license"] == "cc-by-4.0"
    assert "| en | 1.50 |" in card
    assert "| CC0-1.0 | 1.75 |" in card
    assert "| not named | 0.25 |" in card
    assert card.count("corpora/radio") == 1, "one corpus of three parts is told once"
    assert "corpora/radio \\| &lt;b>" in card
    assert "48.00 hours of A100" in card  # 3 parts, 2 hours, 8 processes
    assert "| word errors (ear) | 0.50 [0.25, 0.75] |" in card
    assert "- deaf to ar" in card


def test_a_card_says_what_is_not_known(tiny_bundle):
    card = render_card(collect_facts(tiny_bundle, "tiny"))
    assert "license" not in card.split("---\n")[1]
    assert "The corpora of all parts are not known" in card
    assert "Not evaluated" in card

import hashlib
import json
import shutil

import pytest

from gsv2.evaluation.bundle_evaluation import (
    carry_evaluation,
    hash_bundle,
    keep_evaluation,
    read_kept_evaluation,
)
from gsv2.evaluation.tables import figure_table
from gsv2.inference.bundle import export_bundle
from gsv2.inference.bundle_description import BundleError
from tests.evaluation.test_tables import report as report  # a fixture


def test_what_a_bundle_keeps_makes_the_same_tables(report, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    assert read_kept_evaluation(bundle) is None
    keep_evaluation(report, bundle)
    assert figure_table(read_kept_evaluation(bundle)) == figure_table(report)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"bundle_sha256": "", "figures": []}'])
def test_something_else_is_one_clear_line(tmp_path, content):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(BundleError, match=r"evaluation\.json holds no evaluation"):
        read_kept_evaluation(tmp_path)


def test_a_figure_that_nobody_knows_is_still_told(report, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    keep_evaluation(report, bundle)
    values = json.loads((bundle / "evaluation.json").read_text())
    values["figures"]["all"]["later/ear"] = values["figures"]["all"]["wer/ear"]
    (bundle / "evaluation.json").write_text(json.dumps(values))
    assert figure_table(read_kept_evaluation(bundle)).rows[-1][0] == "later (ear)"


def test_a_bundle_made_of_a_bundle_keeps_its_evaluation(report, tiny_bundle, tmp_path):
    evaluated, made = tmp_path / "evaluated", tmp_path / "made"
    shutil.copytree(tiny_bundle, evaluated)
    keep_evaluation(report, evaluated)
    export_bundle([evaluated], made)
    carry_evaluation([evaluated], made)
    assert figure_table(read_kept_evaluation(made)) == figure_table(report)


def test_a_bundle_is_made_though_the_evaluation_of_its_source_is_damaged(
    tiny_bundle, tmp_path, caplog
):
    evaluated, made = tmp_path / "evaluated", tmp_path / "made"
    shutil.copytree(tiny_bundle, evaluated)
    (evaluated / "evaluation.json").write_text("{")
    export_bundle([evaluated], made)
    carry_evaluation([evaluated], made)
    assert not (made / "evaluation.json").exists()
    assert f"{evaluated / 'evaluation.json'} holds no evaluation" in caplog.text


def test_graphs_beside_the_parts_change_nothing_and_other_parts_do(tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    before = hash_bundle(bundle)
    for name, same in (("gpt_step.onnx", True), ("gpt.safetensors", False)):
        description = json.loads((bundle / "bundle.json").read_text())
        description["files"][name] = "0" * 64
        (bundle / "bundle.json").write_text(json.dumps(description))
        assert (hash_bundle(bundle) == before) is same


def test_an_evaluation_that_names_its_bundle_as_before_is_read(report, tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    keep_evaluation(report, bundle)
    values = json.loads((bundle / "evaluation.json").read_text())
    values["bundle_sha256"] = hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
    (bundle / "evaluation.json").write_text(json.dumps(values))
    assert figure_table(read_kept_evaluation(bundle)) == figure_table(report)

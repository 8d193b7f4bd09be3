import json

import pytest

from gsv2.data.config import DataConfig, SourceConfig
from gsv2.data.corpus.format import SAMPLE_RATE
from gsv2.data.corpus.provenance import describe_corpora, write_corpora
from gsv2.inference.bundle import export_bundle
from gsv2.inference.bundle_description import BundleError
from gsv2.inference.bundle_provenance import read_provenance, write_provenance
from gsv2.training.accounting.state import TrainState
from gsv2.training.checkpoints.snapshot import FORMAT_VERSION
from tests.support.tiny_bundle import save_parts


@pytest.fixture
def checkpoint(tmp_path, tiny_corpus):
    """A checkpoint of a run that says what it has heard; all parts are in it."""
    run = tmp_path / "runs" / "mine"
    folder = save_parts(run / "checkpoints" / "step_00000007")
    hour = 3600 * SAMPLE_RATE
    state = TrainState(step=7, samples_seen=30, audio_seen={"en": 2 * hour}, time_sec=1800.0)
    record = {"format_version": FORMAT_VERSION, "run": state.to_plain(), "values": {}}
    (folder / "state.json").write_text(json.dumps(record))
    (run / "environment.json").write_text(json.dumps({"ranks": 4, "device": "A100"}))
    sources = [SourceConfig(path=str(tiny_corpus.path))]
    write_corpora(run, describe_corpora(DataConfig(sources=sources, max_frames=100)))
    return folder


def test_a_bundle_tells_of_each_part_what_it_heard_and_what_it_cost(checkpoint, tmp_path):
    parts = read_provenance(export_bundle([checkpoint], tmp_path / "bundle"))
    assert parts.keys() == {"quantizer", "gpt", "vits2"}
    gpt = parts["gpt"]
    assert (gpt.run, gpt.step, gpt.clips_seen, gpt.hours_seen) == ("mine", 7, 30, {"en": 2.0})
    assert (gpt.wall_hours, gpt.device_hours, gpt.device) == (0.5, 2.0, "A100")
    assert [corpus.name.split("/")[-1] for corpus in gpt.corpora] == ["corpus"]


def test_a_bundle_of_bundles_keeps_what_they_told(checkpoint, tmp_path):
    first = export_bundle([checkpoint], tmp_path / "first")
    again = tmp_path / "again"
    write_provenance(again.parent, {})
    for kind in ("quantizer", "gpt", "vits2"):
        found = read_provenance(first)[kind]
        again.mkdir(exist_ok=True)
        write_provenance(again, {kind: found})
        assert read_provenance(again) == {kind: found}


def test_parts_of_nowhere_have_no_provenance(tiny_bundle, tmp_path):
    assert read_provenance(tiny_bundle) == {}
    assert read_provenance(tmp_path) == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format_version": 2, "parts": {}}', '{"format_version": 1}']
)
def test_something_else_is_one_clear_line(tmp_path, content):
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(BundleError, match=r"provenance\.json holds no provenance") as error:
        read_provenance(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"step": "7"}, {"corpora": [{}]}, {"more": 1}])
def test_a_value_of_another_type_is_refused(checkpoint, tmp_path, change):
    bundle = export_bundle([checkpoint], tmp_path / "bundle")
    values = json.loads((bundle / "provenance.json").read_text())
    values["parts"]["gpt"].update(change)
    (bundle / "provenance.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match="gpt"):
        read_provenance(bundle)

import json
import shutil

import numpy as np
import pytest

from gsv2.evaluation.bundle_evaluation import keep_evaluation
from gsv2.evaluation.report import make_report
from gsv2.hub.push import push_bundle
from gsv2.inference.bundle import load_bundle
from gsv2.inference.bundle_description import BundleError
from gsv2.inference.references import load_references
from gsv2.inference.synthesizer import Synthesizer
from tests.support.hub_server import hub

TEXT = "One."


@pytest.fixture
def on_hub(tmp_path, monkeypatch):
    """Send the hub's own client to a hub on loopback; gives its repositories."""
    from huggingface_hub import constants, hf_api

    with hub() as (address, repositories):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(hf_api, "ENDPOINT", address, raising=False)
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        yield repositories


def test_what_is_pushed_to_a_repository_speaks_as_the_bundle_does(on_hub, tiny_bundle, voice):
    url = push_bundle(tiny_bundle, "hf://me/tiny", licence="cc-by-4.0")
    assert "me/tiny" in url
    assert on_hub["me/tiny"].keys() == {
        *(file.name for file in tiny_bundle.iterdir()),
        "README.md",
        "config.json",
    }
    spoken = [
        synthesizer.synthesize(TEXT, load_references([voice], ["a voice"])).wave
        for synthesizer in (
            Synthesizer.from_pretrained("me/tiny"),
            Synthesizer.from_pretrained("hf://me/tiny", revision="main"),
            Synthesizer.from_pretrained(tiny_bundle),
        )
    ]
    assert np.array_equal(spoken[0], spoken[2])
    assert np.array_equal(spoken[1], spoken[2])


def test_a_repository_that_is_none_is_one_line(on_hub, tmp_path):
    with pytest.raises(BundleError, match="me/nothing is no folder") as error:
        Synthesizer.from_pretrained("me/nothing")
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="hf://OWNER/NAME"):
        Synthesizer.from_pretrained("hf://me")
    with pytest.raises(BundleError, match="has no revision"):
        Synthesizer.from_pretrained(tmp_path, revision="main")


def test_a_pushed_folder_is_a_bundle_with_a_card_and_every_value_of_its_configs(
    tiny_bundle, tmp_path
):
    for _ in range(2):  # in place of the one before
        out = push_bundle(tiny_bundle, str(tmp_path / "anna-en"))
    assert load_bundle(tmp_path / "anna-en").keys() == load_bundle(tiny_bundle).keys()
    described = json.loads((tmp_path / "anna-en" / "config.json").read_text())
    assert described["parts"]["gpt"]["codes"]["codebook_size"] == 16
    assert out == str(tmp_path / "anna-en")
    assert "# anna-en" in (tmp_path / "anna-en" / "README.md").read_text()


def test_a_folder_of_something_else_is_left_alone(tiny_bundle, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="is no pushed bundle"):
        push_bundle(tiny_bundle, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(BundleError, match="is the bundle itself"):
        push_bundle(tiny_bundle, str(tiny_bundle))


def test_figures_of_other_weights_are_refused(tiny_bundle, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    keep_evaluation(make_report("bundle", []), bundle)
    push_bundle(bundle, str(tmp_path / "good"))
    values = json.loads((bundle / "evaluation.json").read_text())
    values["bundle_sha256"] = "0" * 64
    (bundle / "evaluation.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match="of other weights"):
        push_bundle(bundle, str(tmp_path / "bad"))
    assert not (tmp_path / "bad").exists()

"""Speech by a bundle's graphs beside torch's; what cannot be spoken by them is refused by name."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.inference.bundle import export_bundle, load_bundle
from gsv2.inference.bundle_description import GRAPHS, BundleError
from gsv2.inference.onnx_engine import check_graphs
from gsv2.inference.open_synthesizer import BundleOptions, check_engine, open_synthesizer
from gsv2.inference.references import load_reference
from gsv2.inference.sampling import SamplingConfig
from gsv2.models.component import save_component
from gsv2.models.vits2.generator import GeneratorConfig
from gsv2.models.vits2.istft_generator import ISTFTConfig
from gsv2.models.vits2.model import VITS2
from tests.support.tiny_bundle import save_parts, tiny_modules

ISTFT = GeneratorConfig(kind="istft", istft=ISTFTConfig(dim=16, num_blocks=2))
TEXT = "One red train. Two trains, and one more."
SHORT = SamplingConfig(max_sec_per_byte=0.1, max_extra_sec=0.5, candidates=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["hifigan", "istft"])
def graph_bundle(request, tmp_path_factory):
    pytest.importorskip("onnxscript")
    root = tmp_path_factory.mktemp("graphs")
    parts = save_parts(root / "parts")
    if request.param == "istft":
        modules = tiny_modules()
        books = modules["generator"].code_vectors.codebooks
        vits2 = VITS2(replace(modules["generator"].config, generator=ISTFT))
        vits2.code_vectors.set_codebooks(books)
        save_component(
            parts / "generator.safetensors",
            vits2,
            kind="vits2",
            config=asdict(vits2.config),
            provenance={"quantizer": modules["quantizer"].fingerprint()},
        )
    return export_bundle([parts], root / "bundle", with_graphs=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampling", [replace(SHORT, top_k=1), SHORT, replace(SHORT, prompt_fusion="average")]
)
def test_speech_is_that_of_torch_by_the_same_codes(graph_bundle, voice, sampling):
    pytest.importorskip("onnxruntime")
    references = [load_reference(voice, "a voice"), load_reference(voice, "again")]
    spoken = {}
    for engine in ("torch", "onnx"):
        synthesizer = open_synthesizer(graph_bundle, CPU, BundleOptions(engine=engine))
        whole = synthesizer.synthesize(TEXT, references, seed=3, sampling=sampling)
        pieces = list(synthesizer.stream(TEXT, references, seed=3, sampling=sampling))
        spoken[engine] = (whole, np.concatenate([piece.wave for piece in pieces]))
    (expected, streamed), (found, found_streamed) = spoken["torch"], spoken["onnx"]
    assert len(found.codes) == 2
    for ours, theirs in zip(found.codes, expected.codes, strict=True):
        assert torch.equal(ours, theirs)
    np.testing.assert_allclose(found.wave, expected.wave, atol=1e-4)
    np.testing.assert_allclose(found_streamed, streamed, atol=1e-4)


@pytest.mark.slow
def test_a_command_speaks_by_the_graphs_that_a_bundle_names(graph_bundle, voice, tmp_path):
    pytest.importorskip("onnxruntime")
    files = [tmp_path / f"{engine}.wav" for engine in ("torch", "onnx")]
    for out in files:
        options = ("--bundle", graph_bundle, "--text", "One.", "--ref", voice, "--out", out)
        arguments = ["synthesize", *map(str, options), "--engine", out.stem]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    assert abs(files[0].stat().st_size - files[1].stat().st_size) == 0
    (graph_bundle / GRAPHS[0]).write_bytes(b"another")
    with pytest.raises(BundleError, match=r"gpt_step.onnx is damaged"):
        load_bundle(graph_bundle)


def test_what_has_no_graphs_or_no_onnxruntime_is_refused(tiny_bundle, voice, tmp_path, monkeypatch):
    options = (
        "--bundle",
        tiny_bundle,
        "--text",
        "One.",
        "--ref",
        voice,
        "--out",
        tmp_path / "a.wav",
    )
    command = ["synthesize", *map(str, options), "--engine"]
    result = CliRunner().invoke(app, [*command, "onnx"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "has no gpt_step.onnx and no generator.onnx; gsv2 export" in result.stderr
    result = CliRunner().invoke(app, [*command, "tensorflow"])
    assert result.exit_code == 1
    assert "engine must be one of torch, onnx, but is tensorflow" in result.stderr
    monkeypatch.setattr("gsv2.inference.onnx_engine.find_spec", lambda name: None)
    monkeypatch.setattr("gsv2.inference.onnx_engine.GRAPHS", ())
    with pytest.raises(BundleError, match=r"needs onnxruntime: pip install 'gsv2\[onnx\]'"):
        check_graphs(tiny_bundle)
    assert check_engine("onnx") == "onnx"

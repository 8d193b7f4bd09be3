"""ONNX graphs beside torch, under onnxruntime."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gsv2.inference.onnx_export import ExportError, GeneratorGraph, GPTStep, export_graphs
from gsv2.models.gpt.single_step import rotations
from gsv2.models.vits2.folded_norms import fold_weight_norms
from gsv2.models.vits2.generator import GeneratorConfig
from gsv2.models.vits2.istft_generator import ISTFTConfig
from gsv2.models.vits2.model import VITS2
from tests.support.tiny_bundle import BACKBONE, tiny_modules

HARMONIC = GeneratorConfig(kind="istft", istft=ISTFTConfig(dim=16, num_blocks=2, source="harmonic"))


def run(file, **inputs):
    session = pytest.importorskip("onnxruntime").InferenceSession(
        file, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """GPT, VITS2 with HiFi-GAN, and the folder of their graphs."""
    pytest.importorskip("onnxscript")
    modules, out = tiny_modules(), tmp_path_factory.mktemp("onnx")
    vits2, gpt = fold_weight_norms(modules["generator"]).eval(), modules["gpt"].eval()
    export_graphs(gpt, vits2, out)
    return gpt, vits2, out


@pytest.fixture(scope="module")
def exported_harmonic(tmp_path_factory):
    """VITS2 with an inverse STFT, and the folder of its graph; no GPT."""
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("onnx")
    vits2 = VITS2(replace(tiny_modules()["generator"].config, generator=HARMONIC))
    vits2 = fold_weight_norms(vits2).eval()
    export_graphs(None, vits2, out)
    return None, vits2, out


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("T", [7, 61])
@pytest.mark.parametrize("graphs", ["exported", "exported_harmonic"])
def test_a_generator_is_equal_whatever_the_length(request, graphs, T):
    _, vits2, out = request.getfixturevalue(graphs)
    z, style = torch.randn(1, 8, T), torch.randn(1, 16)
    graph = GeneratorGraph(vits2)
    found, expected = run(out / "generator.onnx", z=z, style=style), graph(z, style)
    assert len(found) == len(expected) == len(graph.outputs)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 3])
def test_steps_with_the_cache_of_the_graph_are_those_of_one_pass(exported, rows):
    gpt, _, out = exported
    inputs = torch.randn(rows, 6, BACKBONE.dim)
    expected = gpt.backbone(inputs_embeds=inputs, use_cache=False).last_hidden_state
    table = rotations(gpt.backbone, 6, inputs)
    step = GPTStep(gpt.backbone)
    shape = (BACKBONE.num_layers, rows, BACKBONE.num_kv_heads, 0, 8)
    _, keys, values = step(
        inputs[:, 0], table[:, [0] * rows][:, :, None, None], torch.zeros(shape),
        torch.zeros(shape), torch.zeros(rows, 1, 1, 1),
    )  # fmt: skip
    for place in range(1, 6):
        hidden, *grown = run(
            out / "gpt_step.onnx",
            inputs=inputs[:, place],
            rotation=table[:, [place] * rows][:, :, None, None],
            keys=keys,
            values=values,
            mask=torch.zeros(rows, 1, 1, place + 1),
        )
        keys, values = map(torch.from_numpy, grown)
        np.testing.assert_allclose(hidden, expected[:, place].numpy(), atol=1e-4)
    assert keys.shape[3] == 6


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("gsv2.inference.onnx_export.find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"onnx and onnxscript: pip install 'gsv2\[onnx\]'"):
        export_graphs(None, tiny_modules()["generator"], tmp_path)

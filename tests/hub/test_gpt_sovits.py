"""What is imported computes what its tensors say, by functions of torch alone."""

import torch
from torch.nn import functional
from typer.testing import CliRunner

from gsv2.cli import app
from gsv2.hub.gpt_sovits import (
    import_sovits,
    make_discriminators,
    make_generator,
)
from gsv2.hub.gpt_sovits_file import SoVITSFile
from gsv2.models.component import load_component
from gsv2.models.quantizer.model import Quantizer
from tests.support.sovits_checkpoint import (
    DILATIONS,
    FEATURES,
    KERNELS,
    LATENT,
    PERIODS,
    RATES,
    SIZES,
    STYLE,
    discriminator_tensors,
    generator_tensors,
    save_checkpoint,
)
from tests.support.tiny_speech_encoders import save_speech_encoder

SETTINGS = {"model": {"upsample_rates": list(RATES)}}


def weight(tensors, name):
    """Norm over all but the first dimension, as torch's older weight norm has it."""
    if f"{name}.weight" in tensors:
        return tensors[f"{name}.weight"]
    v = tensors[f"{name}.weight_v"]
    norm = v.square().sum(dim=tuple(range(1, v.ndim)), keepdim=True).sqrt()
    return tensors[f"{name}.weight_g"] * v / norm


def convolve(tensors, name, x, **how):
    return functional.conv1d(x, weight(tensors, name), tensors.get(f"{name}.bias"), **how)


def test_the_generator_speaks_as_its_tensors_say():
    torch.manual_seed(0)
    tensors = generator_tensors()
    z, style = torch.randn(2, LATENT, 9), torch.randn(2, STYLE)
    x = convolve(tensors, "dec.conv_pre", z, padding=3)
    x = x + convolve(tensors, "dec.cond", style[..., None])
    for stage, (rate, kernel) in enumerate(zip(RATES, KERNELS, strict=True)):
        up = f"dec.ups.{stage}"
        x = functional.conv_transpose1d(
            functional.leaky_relu(x, 0.1),
            weight(tensors, up),
            tensors[f"{up}.bias"],
            stride=rate,
            padding=(kernel - rate) // 2,
        )
        blocks = []
        for place, size in enumerate(SIZES):
            block, y = f"dec.resblocks.{stage * len(SIZES) + place}", x
            for layer, dilation in enumerate(DILATIONS):
                how = {"dilation": dilation, "padding": dilation * (size - 1) // 2}
                inner = functional.leaky_relu(y, 0.1)
                inner = convolve(tensors, f"{block}.convs1.{layer}", inner, **how)
                inner = functional.leaky_relu(inner, 0.1)
                y = y + convolve(tensors, f"{block}.convs2.{layer}", inner, padding=(size - 1) // 2)
            blocks.append(y)
        x = torch.stack(blocks).mean(dim=0)
    expected = torch.tanh(
        convolve(tensors, "dec.conv_post", functional.leaky_relu(x, 0.1), padding=3)
    )
    with torch.no_grad():
        found = make_generator(SoVITSFile(tensors, SETTINGS))(z, style)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_discriminators_judge_as_their_tensors_say():
    torch.manual_seed(0)
    tensors = discriminator_tensors()
    wave = torch.randn(2, 1, 600)
    with torch.no_grad():
        logits, _ = make_discriminators(SoVITSFile(tensors, None))(wave)
    x = wave
    for layer, (stride, padding, groups) in enumerate(
        [(1, 7, 1), (4, 20, 2), (4, 20, 4), (1, 2, 1)]
    ):
        how = {"stride": stride, "padding": padding, "groups": groups}
        x = functional.leaky_relu(
            convolve(tensors, f"discriminators.0.convs.{layer}", x, **how), 0.1
        )
    x = convolve(tensors, "discriminators.0.conv_post", x, padding=1)
    torch.testing.assert_close(logits[0], x, rtol=1e-4, atol=1e-4)
    for number, period in enumerate(PERIODS, 1):
        name = f"discriminators.{number}"
        x = functional.pad(wave, (0, -wave.shape[-1] % period), mode="reflect")
        x = x.view(2, 1, -1, period)
        for layer in range(3):
            bias = tensors[f"{name}.convs.{layer}.bias"]
            stride = (3 if layer < 2 else 1, 1)
            x = functional.conv2d(x, weight(tensors, f"{name}.convs.{layer}"), bias, stride, (2, 0))
            x = functional.leaky_relu(x, 0.1)
        last = weight(tensors, f"{name}.conv_post"), tensors[f"{name}.conv_post.bias"]
        x = functional.conv2d(x, *last, padding=(1, 0))  # [B, 1, N, period]
        ours = logits[number].view(2, period, -1).transpose(1, 2)
        torch.testing.assert_close(ours, x[:, 0], rtol=1e-4, atol=1e-4)


def test_codes_are_the_nearest_entries_of_what_ssl_proj_makes(tmp_path):
    encoder = save_speech_encoder(tmp_path / "hubert", "chinese-hubert-large")
    tensors = generator_tensors()
    file = save_checkpoint(tmp_path / "s2G.pth", tensors, half=False)
    import_sovits(file, tmp_path / "out", speech_encoder=encoder)
    component = load_component(tmp_path / "out" / "quantizer.safetensors", "quantizer")
    quantizer = Quantizer.from_component(component)
    assert component.provenance["quantizer"] == quantizer.fingerprint()
    torch.manual_seed(0)
    features = torch.randn(2, 12, FEATURES)
    mask = torch.ones(2, 12, dtype=torch.bool)
    projected = convolve(tensors, "ssl_proj", features.transpose(1, 2), stride=2).transpose(1, 2)
    entries = tensors["quantizer.vq.layers.0._codebook.embed"]
    expected = torch.cdist(projected, entries).argmin(dim=-1)
    codes = quantizer.encode(features, mask)
    assert torch.equal(codes[:, 0], expected)
    # What is decoded is what the projection maps to the same entries.
    again = convolve(tensors, "ssl_proj", quantizer.decode(codes).transpose(1, 2), stride=2)
    torch.testing.assert_close(again.transpose(1, 2), entries[expected], rtol=1e-3, atol=1e-3)


def test_the_table_names_what_was_and_was_not_taken(tmp_path):
    generator = save_checkpoint(tmp_path / "s2G.pth", generator_tensors())
    judges = save_checkpoint(tmp_path / "s2D.pth", discriminator_tensors())
    out = tmp_path / "out"
    arguments = ["import", generator, "--discriminator", judges, "--out", out]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert {file.name for file in out.iterdir()} == {
        "generator.safetensors",
        "discriminator.safetensors",
    }
    parts = {part.source: part for part in import_sovits(generator, out, discriminator=judges)}
    assert sum(part.num_tensors for part in parts.values()) == len(
        generator_tensors() | discriminator_tensors()
    )
    assert {name for name, part in parts.items() if part.taken_as} == {"dec", "discriminators"}
    assert "phonemes" in parts["enc_p"].note
    assert "--speech-encoder" in parts["quantizer"].note

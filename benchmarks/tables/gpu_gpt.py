"""Table of the base GPT on one GPU: use of a training step, and milliseconds of a decoded token.

    python -m benchmarks.tables.gpu_gpt [--debug] [--steps 10] [--out runs/bench]

Of configs/gpt/base.yaml on random clips, at most 8 minutes on an H200: a training step of a packed
row of 8192 tokens in bf16 by the policy (forward, backward, clipping, fused AdamW), eager and
compiled as `trainer.compile.gpt: default` compiles it; decoding of one frame at contexts of 100 and
1500, batch 1, in fp32 and with bf16 weights, launch by launch and by the captured step, whose
outputs are asserted to be equal. The use (MFU) is the operations of gsv2.models.gpt.flops on real
tokens by the time and by 989 TFLOP/s, the dense bf16 peak of an H100 or H200; a matrix product is
timed beside it. --debug takes configs/gpt/debug.yaml and short rows, so that a CPU runs all of it
but the graph. Each figure is written to OUT/gpu_gpt.json as soon as it is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsv2.config import load_config
from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.losses.advance import advance_loss
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.flops import count_gpt_flops
from gsv2.models.gpt.interleave import NUM_STARTS, PackedRows
from gsv2.models.gpt.model import GPTInputs, SemanticGPT
from gsv2.nn.codes import CodeConfig
from gsv2.stages import SCHEMAS
from gsv2.training.engines.compile import compile_networks
from gsv2.training.precision.policy import PrecisionPolicy

PEAK_FLOPS = 989e12
CODES = CodeConfig(levels=2, codebook_size=1024, dim=256)
_CONFIGS = Path(__file__).parents[2] / "configs" / "gpt"
_WARM_UPS = 3
_ADVANCE_WEIGHT = 0.5
_BYTES_PER_SEC = 15
_CLIP_SEC = (3.0, 12.0)
_TOKENS = 32
"""Tokens that are timed at a context."""


def main() -> None:
    """Measure one thing after the other, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--debug", action="store_true", help="debug size, on a CPU too")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of training")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.debug:
        raise SystemExit("no GPU is here; --debug runs at debug size on a CPU")
    row_tokens, contexts = (512, (20, 60)) if options.debug else (8192, (100, 1500))
    figures = Figures(options.out / "gpu_gpt.json")
    figures.add("device", torch.cuda.get_device_name() if device.type == "cuda" else "CPU")
    figures.add("torch", torch.__version__)
    figures.add("matrix product, TFLOP/s", matrix_product(device, 512 if options.debug else 8192))
    for dtype in (torch.float32, torch.bfloat16):
        model = make_gpt(options.debug, device).eval().to(dtype)
        for context in contexts:
            decode(figures, model, context)
        del model
    for mode in ("eager", "compiled"):
        train(figures, make_gpt(options.debug, device).train(), row_tokens, options.steps, mode)
    print(figures.table())


class Figures:
    """Figures by name, on disk as soon as they are there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, value: Any) -> None:
        """Add a figure."""
        self._values[name] = round(value, 4) if isinstance(value, float) else value
        self._path.write_text(json.dumps(self._values, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {self._values[name]}", flush=True)

    def table(self) -> str:
        """Return all of them as markdown."""
        rows = (f"| {name} | {value} |" for name, value in self._values.items())
        return "\n".join(["", "| figure | |", "| --- | --- |", *rows])


def make_gpt(is_debug: bool, device: torch.device) -> SemanticGPT:
    """Return the GPT of a shipped config for two codebooks, with random weights."""
    file = _CONFIGS / ("debug.yaml" if is_debug else "base.yaml")
    gpt = load_config(file, [], SCHEMAS).model.gpt
    torch.manual_seed(0)
    with device:
        model = SemanticGPT(replace(gpt, codes=CODES))
        model.set_codebooks(torch.randn(2, CODES.codebook_size, CODES.dim))
    return model


def train(figures: Figures, model: SemanticGPT, tokens: int, steps: int, mode: str) -> None:
    """Report the time, the use and the memory of a step."""
    device = model.text_start.device
    clips, rows, flops = packed_row(model, tokens, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    policy = PrecisionPolicy({"gpt": "bf16"}, ("gpt",))
    if mode == "compiled":
        backend = "inductor" if device.type == "cuda" else "aot_eager"  # minutes of g++ else
        compile_networks({"gpt": model}, {"gpt": "default"}, backend)

    def step() -> float:
        with policy.autocast("gpt", device):
            output = model(clips, rows)
        loss = code_prediction_loss(output.logits, output.targets, (1.0, 1.0), model.end).loss
        assert output.advance_logits is not None, "the configs read by a pointer"
        assert output.advance_targets is not None, "the configs read by a pointer"
        loss = loss + _ADVANCE_WEIGHT * advance_loss(output.advance_logits, output.advance_targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    start = time.perf_counter()
    losses = [step()]
    figures.add(f"step, {mode}: first one, s", time.perf_counter() - start)
    losses += [step() for _ in range(_WARM_UPS)]
    seconds = [timed(step, device) for _ in range(steps)]
    assert losses[-1] < losses[0], f"the loss does not fall: {losses}"
    name = f"step, {mode}"
    middle = statistics.median(seconds)
    figures.add(f"{name}: first loss", losses[0])
    figures.add(f"{name}: ms", 1e3 * middle)
    figures.add(f"{name}: real tokens/s", token_counts(model, clips).sum().item() / middle)
    figures.add(f"{name}: MFU", flops / middle / PEAK_FLOPS)
    if device.type == "cuda":
        figures.add(f"{name}: memory at the peak, GiB", torch.cuda.max_memory_allocated() / 2**30)
        torch.cuda.reset_peak_memory_stats()


@torch.inference_mode()
def decode(figures: Figures, model: SemanticGPT, context: int) -> None:
    """Report the milliseconds of a token, launch by launch and captured."""
    parameter = model.text_start
    codes = torch.randint(CODES.codebook_size, (1, 2, context), device=parameter.device)
    prompt = model.embed_steps(codes)
    mask = torch.ones(1, context, dtype=torch.bool, device=parameter.device)
    outputs: dict[str, Tensor] = {}
    dtype = str(parameter.dtype).removeprefix("torch.")
    for kind in ("eager", "captured"):
        stream = CachedBackbone(model, mask)
        stream._captures = kind == "captured"
        hidden = stream(prompt)
        made: list[Tensor] = []

        def token(stream: CachedBackbone = stream, made: list[Tensor] = made) -> None:
            nonlocal hidden
            chosen = model.head.choose(hidden, _likeliest)
            hidden = stream(model.embed_steps(chosen[:, :, None]))
            made.append(hidden)

        for _ in range(_WARM_UPS):
            token()
        seconds = [timed(token, parameter.device) for _ in range(_TOKENS)]
        outputs[kind] = torch.stack(made[: _WARM_UPS + 1]).float()
        middle = 1e3 * statistics.median(seconds)
        figures.add(f"token at {context}, {dtype}, {kind}, ms", middle)
    error = (outputs["captured"] - outputs["eager"]).norm() / outputs["eager"].norm()
    limit = 1e-3 if parameter.dtype == torch.float32 else 5e-2
    figures.add(f"token at {context}, {dtype}: captured against eager", float(error))
    assert error < limit, f"the captured step is off by {error}"


def matrix_product(device: torch.device, size: int) -> float:
    """Return the TFLOP/s of a bf16 product of square matrices."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    seconds = min(timed(lambda: a @ a, device) for _ in range(8))
    return 2e-12 * size**3 / seconds


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a piece of work, until the device has done it."""
    wait = torch.cuda.synchronize if device.type == "cuda" else nullcontext
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def packed_row(
    model: SemanticGPT, tokens: int, device: torch.device
) -> tuple[GPTInputs, PackedRows, float]:
    """Return clips that fill a row, where they are, and the operations of a step on them."""
    rng = torch.Generator().manual_seed(0)
    frames: list[int] = []
    while True:
        span = _CLIP_SEC[1] - _CLIP_SEC[0]
        seconds = _CLIP_SEC[0] + span * float(torch.rand((), generator=rng))
        count = int(seconds * CODES.rate_hz)
        if sum(frames) + count + NUM_STARTS * (len(frames) + 1) > tokens:
            break
        frames.append(count)
    C, lengths = len(frames), torch.tensor(frames)
    texts = (lengths * _BYTES_PER_SEC / CODES.rate_hz).long()
    T = int(lengths.max())
    places = torch.arange(T) * texts[:, None] // lengths[:, None]
    clips = GPTInputs(
        torch.randint(97, 123, (C, int(texts.max())), generator=rng),
        texts,
        torch.randint(CODES.codebook_size, (C, 2, T), generator=rng),
        lengths,
        torch.arange(C),
        places.minimum(texts[:, None] - 1),
    )
    flops = count_gpt_flops(model)
    total = flops.total(
        token_counts(model, clips),
        num_inputs=sum(frames),
        num_predicted=sum(frames) + C,
        num_codes=[sum(frames) + C, sum(frames)],
    )
    total += flops.pointed(int(texts.sum()), sum(frames))
    on_device = GPTInputs(*(x if x is None else x.to(device) for x in clips))
    rows = PackedRows(torch.zeros(C, dtype=torch.int64, device=device), 1, tokens)
    return on_device, rows, total


def token_counts(model: SemanticGPT, clips: GPTInputs) -> Tensor:
    """Return the tokens [C] of each clip; a pointer's text stands in no sequence."""
    is_read = model.config.reading != "pointer"
    return NUM_STARTS + clips.code_lengths.cpu() + is_read * clips.text_lengths.cpu()


def _likeliest(codebook: int, logits: Tensor) -> Tensor:
    return logits[:, : CODES.codebook_size].argmax(dim=1)


if __name__ == "__main__":
    main()

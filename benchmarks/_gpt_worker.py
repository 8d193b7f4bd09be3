"""A GPT of any build of gsv2, for `benchmarks.gpt_builds`: training steps, tokens, memory.

    python -P _gpt_worker.py LAYERS DIM

Answers each line of JSON with one, `TURN {...}`; seconds are those of the process:

    {"do": "step", "tokens": 2048}    -> {"cpu_sec", "loss"} of a step of two codebooks
    {"do": "memory", "tokens": 8192}  -> {"gib"} that such a step takes at its peak
    (either with "recompute": true, where the build can: under activation checkpointing)
    {"do": "decode", "codebooks": 1, "context": 1500, "dtype": "float32"}
                                      -> {"cpu_sec", "codes"} of the next frame
    {"do": "products", ...as decode}  -> {"cpu_sec"} of the products and the attention of a frame

A decoding goes on with each line that is like the first. What is imported of a build has had its
name for long, so that this runs in builds of before.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gsv2.inference.generate import Prompt, Utterance, generate
from gsv2.inference.sampling import SamplingConfig
from gsv2.losses.code_prediction import code_prediction_loss
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.interleave import PackedRows
from gsv2.models.gpt.model import GPTConfig, GPTInputs, SemanticGPT
from gsv2.nn.codes import CodeConfig

_HEAD_DIM = 64
_CODEBOOK_SIZE = 1024
_CODE_DIM = 256
_DEPTH_LAYERS = 4
_TEXT_BYTES = (30, 90)
_FRAMES = (50, 250)
_STARTS = 2
_RATE_HZ = 25.0
_FOREVER_SEC = 1e4
_SPOKEN = "What the clip before says is of no account here."
_KIB = 1024
_GIB = 1 << 30


def main() -> None:
    """Answer until nobody asks."""
    layers, dim = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    work: dict[str, Callable[[], dict[str, Any]]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if line not in work:
            work[line] = _WORK[asked.pop("do")](layers, dim, **asked)
        sys.stdout.write(f"TURN {json.dumps(work[line]())}\n")
        sys.stdout.flush()


def training_steps(
    layers: int, dim: int, tokens: int, recompute: bool = False
) -> Callable[[], dict[str, Any]]:
    """Return what takes a step on a packed row, always the same one."""
    model = make_gpt(layers, dim, num_codebooks=2).train()
    if recompute:
        model.recompute_activations()
    clips, rows = packed_row(tokens, num_codebooks=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> dict[str, Any]:
        start = time.process_time()
        output = model(clips, rows)
        loss = code_prediction_loss(output.logits, output.targets, (1.0, 1.0), model.end).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return {"cpu_sec": time.process_time() - start, "loss": loss.item()}

    return step


def step_memory(
    layers: int, dim: int, tokens: int, recompute: bool = False
) -> Callable[[], dict[str, Any]]:
    """Return what tells the memory of a first step beside weights, gradients and moments."""
    training_steps(layers, dim, _STARTS + _TEXT_BYTES[1] + _FRAMES[1], recompute)()
    before = _resident_bytes()
    training_steps(layers, dim, tokens, recompute)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    return lambda: {"gib": (peak - before) / _GIB}


def decoding(
    layers: int, dim: int, codebooks: int, context: int, dtype: str
) -> Callable[[], dict[str, Any]]:
    """Return what decodes a frame more, from as many tokens on as the context has."""
    frames = _frames(make_gpt(layers, dim, codebooks).to(getattr(torch, dtype)), context)
    next(frames)  # the first one comes of the prompt

    def frame() -> dict[str, Any]:
        start = time.process_time()
        codes = next(frames)
        return {"cpu_sec": time.process_time() - start, "codes": codes}

    return frame


def products(
    layers: int, dim: int, codebooks: int, context: int, dtype: str
) -> Callable[[], dict[str, Any]]:
    """Return what does the products and the attention of a frame, and nothing else of it.

    Weights and cache are larger than a processor's own memory, so that this is the time of
    reading them: less takes no build that multiplies one vector by each matrix.
    """
    model = make_gpt(layers, dim, codebooks).to(getattr(torch, dtype))
    matrices = _matrices(model.backbone)
    if codebooks > 1:
        matrices += codebooks * _matrices(model.head.transformer)
    vectors = {m.shape[1]: torch.randn(1, m.shape[1], dtype=m.dtype) for m in matrices}
    shape = (1, dim // _HEAD_DIM, context, _HEAD_DIM)
    cache = [torch.randn(2, *shape, dtype=matrices[0].dtype) for _ in range(layers)]

    def multiply() -> dict[str, Any]:
        start = time.process_time()
        with torch.inference_mode():
            for matrix in matrices:
                F.linear(vectors[matrix.shape[1]], matrix)
            for keys, values in cache:
                F.scaled_dot_product_attention(keys[:, :, -1:], keys, values)
        return {"cpu_sec": time.process_time() - start}

    return multiply


_WORK = {"step": training_steps, "memory": step_memory, "decode": decoding, "products": products}


def make_gpt(layers: int, dim: int, num_codebooks: int) -> SemanticGPT:
    """Return a GPT with random weights, those of the same sizes in any build."""
    torch.manual_seed(0)
    heads = dim // _HEAD_DIM
    sizes = {"dim": dim, "num_heads": heads, "num_kv_heads": heads, "ffn_dim": dim * 11 // 4}
    codes = CodeConfig(
        levels=num_codebooks, codebook_size=_CODEBOOK_SIZE, dim=_CODE_DIM, rate_hz=_RATE_HZ
    )
    model = SemanticGPT(
        GPTConfig(
            backbone=BackboneConfig(num_layers=layers, **sizes),
            depth=BackboneConfig(num_layers=_DEPTH_LAYERS, **sizes),
            pattern="depth" if num_codebooks > 1 else "parallel",
            codes=codes,
        )
    )
    model.set_codebooks(torch.randn(num_codebooks, _CODEBOOK_SIZE, _CODE_DIM))
    return model.eval()


def packed_row(tokens: int, num_codebooks: int) -> tuple[GPTInputs, PackedRows]:
    """Return clips of 2 to 10 s, each a sequence, that fill a row but for its last tokens."""
    rng = torch.Generator().manual_seed(0)
    sizes: list[tuple[int, int]] = []
    while True:
        size = _draw(_TEXT_BYTES, rng), _draw(_FRAMES, rng)
        if sum(map(sum, [*sizes, size])) + _STARTS * (len(sizes) + 1) > tokens:
            break
        sizes.append(size)
    text, frames = (torch.tensor(column) for column in zip(*sizes, strict=True))
    C = len(sizes)
    clips = GPTInputs(
        torch.randint(256, (C, int(text.max())), generator=rng),
        text,
        torch.randint(_CODEBOOK_SIZE, (C, num_codebooks, int(frames.max())), generator=rng),
        frames,
        torch.arange(C),
    )
    return clips, PackedRows(torch.zeros(C, dtype=torch.int64), 1, tokens)


def _frames(model: SemanticGPT, context: int) -> Iterator[list[int]]:
    """Yield the codes of each frame of a generation, which waits in between."""
    from threading import Semaphore, Thread

    K = model.pattern.num_codebooks
    num_prompt = context - 2 * (_STARTS + len(_SPOKEN))
    prompt = torch.arange(K * num_prompt).view(K, num_prompt) * 7919 % _CODEBOOK_SIZE
    bounds = {"min_sec_per_byte": _FOREVER_SEC, "max_sec_per_byte": _FOREVER_SEC}
    sampling = SamplingConfig(repetition_window=0, **bounds)  # the default of before
    utterance = Utterance(text=_SPOKEN, prompts=(Prompt(_SPOKEN, prompt),))
    go_on, is_done, chosen = Semaphore(0), Semaphore(0), list[Tensor]()
    choose = model.head.choose

    def choose_and_wait(hidden: Tensor, draw: Any) -> Tensor:
        chosen.append(choose(hidden, draw))
        is_done.release()
        go_on.acquire()
        return chosen[-1]

    model.head.choose = choose_and_wait
    Thread(target=generate, args=(model, [utterance], sampling), daemon=True).start()
    while True:
        is_done.acquire()
        yield chosen[-1][0].tolist()
        go_on.release()


def _matrices(transformer: torch.nn.Module) -> list[Tensor]:
    """Return the weights of all layers; what embeds ids is not used."""
    layers: Any = transformer.layers
    return [weight.detach() for weight in layers.parameters() if weight.dim() == 2]


def _draw(bounds: tuple[int, int], rng: torch.Generator) -> int:
    return int(torch.randint(*bounds, (), generator=rng))


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()

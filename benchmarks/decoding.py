"""BENCHMARKS row 9: decoding, ms a token at contexts of 100 to 1500, against transformers.

    python -m benchmarks.decoding [--layers 24] [--dim 512]
        [--quick] [--rounds 7] [--out runs/bench]

One codebook, batch 1, one thread, CPU seconds: the backbone on one input, logits, the likeliest
code and its vector. Ours runs as `generate` does (`CachedBackbone`); the peers are transformers'
Qwen2 of the same weights with its dynamic and its static cache. The limit reads as many bytes as
weights and cache have, once. Logits of all are asserted to equal the full forward's within 1e-4.
GPT-SoVITS's code stays out: 39.0 ms where the limit was 28.0 (BENCHMARKS.md), at a context of 1500.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, StaticCache

from benchmarks.gpt_peers import CODES, TransformersGPT, make_gpt
from benchmarks.harness import Row, ratios
from benchmarks.options import option_parser, options_of
from gsv2.inference.cached_backbone import CachedBackbone
from gsv2.models.gpt.model import SemanticGPT

CONTEXTS = (100, 500, 1000, 1500)
MAX_GROWTH, MAX_LIMIT, MIN_GPT_SOVITS = 1.45, 1.25, 1.15
GPT_SOVITS_LIMITS = 39.0 / 28.0
"""Time of GPT-SoVITS's token at a context of 1500 in times of the limit."""
_TOKENS_OF_ROUND = 6
_TOLERANCE = 1e-4
_FLOAT_BYTES = 4

Decode = Callable[[Tensor], Tensor]
"""Inputs [1, L, D] -> the output [1, D] at the last of them; remembers what came before."""


def main() -> None:
    """Measure and report."""
    parser = option_parser(__doc__)
    parser.add_argument("--layers", type=int, default=24, help="default: 24")
    parser.add_argument("--dim", type=int, default=512, help="default: 512")
    options, given = options_of(parser)
    if options.quick:
        given.layers, given.dim = 2, 64
    with Row(9, "decoding", options) as row, torch.inference_mode():
        row.note(f"{given.layers} layers of {given.dim}, one codebook.")
        model = make_gpt(given.layers, given.dim).eval()
        theirs = TransformersGPT(model).eval()
        medians = [measure(row, model, theirs, context, given) for context in CONTEXTS]
        row.target("gsv2: context 1500 / 100", medians[-1] / medians[0], at_most=MAX_GROWTH)


def measure(
    row: Row, model: SemanticGPT, theirs: TransformersGPT, context: int, given: Namespace
) -> float:
    """Report a context; return the median seconds of ours for a round."""
    prompt = model.embed_steps(torch.randint(CODES.codebook_size, (1, 1, context)))
    room = context + (row.options.rounds + 2) * _TOKENS_OF_ROUND
    decoders = {
        "gsv2": CachedBackbone(model, torch.ones(1, context, dtype=torch.bool)),
        "transformers dynamic": _peer(theirs, DynamicCache()),
        "transformers static": _peer(
            theirs, StaticCache(config=theirs.backbone.config, max_cache_len=room)
        ),
    }
    check(model, decoders, prompt)
    contenders = {name: _speak(model, decode) for name, decode in decoders.items()}
    cache_floats = 2 * given.layers * context * given.dim
    weights = sum(p.numel() for p in model.backbone.parameters())
    weights += model.head.classifiers[0].weights.weight.numel()
    bytes_read = torch.ones(weights + cache_floats)
    contenders["limit"] = lambda: [bytes_read.sum() for _ in range(_TOKENS_OF_ROUND)]
    times = row.alternate(contenders)
    for name, seconds in times.items():
        each = [1e3 * second / _TOKENS_OF_ROUND for second in seconds]
        row.figure(f"context {context}: {name}", each, "ms a token")
    for name in list(decoders)[1:]:
        row.figure(f"context {context}: {name} / gsv2", ratios(times[name], times["gsv2"]))
    of_limit = ratios(times["gsv2"], times["limit"])
    row.target(f"context {context}: gsv2 / limit", of_limit, at_most=MAX_LIMIT)
    if context == CONTEXTS[-1]:
        faster = [GPT_SOVITS_LIMITS / share for share in of_limit]
        row.target("GPT-SoVITS / gsv2, in limits", faster, at_least=MIN_GPT_SOVITS)
    return sorted(times["gsv2"])[len(times["gsv2"]) // 2]


def check(model: SemanticGPT, decoders: dict[str, Decode], prompt: Tensor) -> None:
    """Take the prompt and one token more, and compare their logits with the full forward's."""
    token = model.embed_steps(torch.full((1, 1, 1), 7))
    whole = torch.cat([prompt, token], dim=1)
    hidden = model.backbone(inputs_embeds=whole, use_cache=False).last_hidden_state
    classify = model.head.classifiers[0].weights
    for name, decode in decoders.items():
        for place, inputs in ((-2, prompt), (-1, token)):
            error = (classify(decode(inputs)) - classify(hidden[:, place])).abs().max()
            assert error < _TOLERANCE, f"{name}: logits are off by {error}"


def _peer(theirs: TransformersGPT, cache: Cache) -> Decode:
    def decode(inputs: Tensor) -> Tensor:
        output = theirs.backbone(inputs_embeds=inputs, past_key_values=cache, use_cache=True)
        return output.last_hidden_state[:, -1]

    return decode


def _speak(model: SemanticGPT, decode: Decode) -> Callable[[], None]:
    """Return what decodes the tokens of a round, each from the one before."""
    code = torch.full((1, 1), 7)

    def speak() -> None:
        nonlocal code
        for _ in range(_TOKENS_OF_ROUND):
            hidden = decode(model.embed_steps(code[:, :, None]))
            code = model.head.choose(hidden, lambda k, logits: logits[:, :-1].argmax(dim=1))

    return speak


if __name__ == "__main__":
    main()

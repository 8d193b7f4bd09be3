"""Attention inside documents in a network that is compiled."""

from __future__ import annotations

import subprocess
import sys

import torch

from gsv2.nn.document_attention import attend_documents
from tests.nn.test_document_attention import E, dense, draw


def test_a_compiled_network_gives_the_same_for_documents_of_changing_lengths():
    compiled = torch.compile(
        lambda q, k, v, d: attend_documents(q, k, v, d, 0.3, 0.0).tanh(), backend="aot_eager"
    )
    for seed in range(3):
        numbers, documents = draw(seed)
        query, key, value = (torch.randn(2, len(numbers), E) for _ in range(3))
        found = compiled(query, key, value, documents)[:, documents.is_valid]
        expected = dense(query, key, value, numbers).tanh()[:, documents.is_valid]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_who_compiles_nothing_imports_no_compiler() -> None:
    """It takes as long as all else that speech imports."""
    code = "import sys, gsv2.inference.synthesizer; print('torch._dynamo' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False"]

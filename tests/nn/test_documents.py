"""Attention to documents in turn; the reference attends to each by itself."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from gsv2.nn.documents import Documents, attend_in_turn


def test_each_document_is_attended_to_as_if_it_were_alone_and_padding_is_zero():
    bounds = [0, 3, 3, 8, 10]  # an empty one, and padding at the end
    is_valid = torch.arange(10) < 8
    documents = Documents(torch.tensor(bounds, dtype=torch.int32), is_valid, 5)
    query, key, value = (torch.randn(2, 10, 4) for _ in range(3))
    mixed = attend_in_turn(query, key, value, documents, 0.5, 0.0)
    for start, stop in ((0, 3), (3, 8)):
        parts = (x[None, :, start:stop] for x in (query, key, value))
        alone = F.scaled_dot_product_attention(*parts, is_causal=True, scale=0.5)
        torch.testing.assert_close(mixed[:, start:stop], alone[0])
    assert not mixed[:, 8:].any()

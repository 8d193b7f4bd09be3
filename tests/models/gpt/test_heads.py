import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from gsv2.config import load_config
from gsv2.models.gpt.backbone import BackboneConfig
from gsv2.models.gpt.heads import CodeClassifier, DepthHead, FlatHead
from gsv2.nn.codes import NO_CODE, CodeConfig
from gsv2.stages import SCHEMAS

V = 12
TINY = BackboneConfig(dim=16, num_layers=2, num_heads=4, num_kv_heads=2, ffn_dim=24)
CODES = CodeConfig(levels=3, codebook_size=V, dim=8)


def make_head(kind: type, codes: CodeConfig = CODES) -> FlatHead | DepthHead:
    torch.manual_seed(0)
    head = DepthHead(16, codes, TINY) if kind is DepthHead else FlatHead(16, codes)
    head.set_codebooks(torch.randn(codes.num_codebooks, V, codes.dim // codes.groups))
    for classifier in head.classifiers:
        torch.nn.init.normal_(classifier.query.weight)
    return head.eval()


@pytest.mark.parametrize("kind", [FlatHead, DepthHead])
def test_logits_are_those_of_the_codes_that_are_there(kind):
    targets = torch.tensor([[1, 2, 3], [V, NO_CODE, NO_CODE], [NO_CODE, 4, NO_CODE]])
    logits = make_head(kind)(torch.randn(3, 16), targets)
    assert [tuple(rows.shape) for rows in logits] == [(2, V + 1), (2, V), (1, V)]


def test_depth_predicts_each_code_from_those_before_it():
    head = make_head(DepthHead)
    hidden, targets = torch.randn(1, 16), torch.tensor([[1, 2, 3]])
    before = head(hidden, targets)
    for changed in range(3):
        other = targets.clone()
        other[0, changed] += 1
        after = head(hidden, other)
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert same == [k <= changed for k in range(3)]


@pytest.mark.parametrize("kind", [FlatHead, DepthHead])
def test_choosing_sees_the_logits_of_training(kind):
    head = make_head(kind)
    hidden, targets = torch.randn(5, 16), torch.randint(V, (5, 3))
    expected = head(hidden, targets)
    seen = {}

    def choose(codebook: int, logits: torch.Tensor) -> torch.Tensor:
        seen[codebook] = logits
        return targets[:, codebook]

    assert torch.equal(head.choose(hidden, choose), targets)
    for k, logits in enumerate(expected):
        torch.testing.assert_close(seen[k], logits)


def test_codes_with_close_entries_get_close_logits():
    torch.manual_seed(0)
    classifier = CodeClassifier(16, replace(CODES, levels=1), has_end=True)
    torch.nn.init.zeros_(classifier.weights.weight)
    torch.nn.init.zeros_(classifier.weights.bias)
    torch.nn.init.normal_(classifier.query.weight)
    entries = torch.randn(V, 8)
    entries[5] = entries[3]
    logits = classifier(torch.randn(4, 16), entries)
    assert torch.equal(logits[:, 5], logits[:, 3])
    assert logits[:, :-1].any()
    assert not logits[:, -1].any()


@pytest.mark.parametrize("name", ["debug", "base"])
def test_the_first_loss_is_that_of_a_guess(name):
    torch.manual_seed(0)
    config = load_config(f"gpt/{name}", [], SCHEMAS).model.gpt
    codes = CodeConfig(levels=2, codebook_size=1024, dim=32)
    head = DepthHead(config.backbone.dim, codes, config.depth)
    head.set_codebooks(torch.randn(2, 1024, 32))
    hidden = torch.randn(256, config.backbone.dim)  # the backbone ends in a norm
    targets = torch.randint(1024, (256, 2))
    for logits, column in zip(head(hidden, targets), targets.unbind(1), strict=True):
        assert cross_entropy(logits, column).item() == pytest.approx(math.log(1024), rel=0.05)


def test_groups_have_entries_of_their_share_of_the_dimensions():
    codes = CodeConfig(groups=2, levels=2, codebook_size=V, dim=8)
    head = make_head(DepthHead, codes)
    assert head.entries.shape == (4, V, 4)
    logits = head(torch.randn(2, 16), torch.randint(V, (2, 4)))
    assert len(logits) == 4


def test_codebooks_of_any_scale_enter_with_unit_variance():
    head = make_head(FlatHead)
    head.set_codebooks(torch.randn(3, V, 8) * torch.tensor([10.0, 1.0, 0.1])[:, None, None])
    torch.testing.assert_close(head.entries.std(dim=(1, 2)), torch.ones(3))

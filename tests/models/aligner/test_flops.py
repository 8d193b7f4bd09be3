from __future__ import annotations

from gsv2.models.aligner.characters import NUM_SHARED
from gsv2.models.aligner.flops import aligner_flops_per_frame
from tests.support.tiny_aligner import CONFIG


def test_a_frame_costs_three_times_its_products_but_the_codes_have_no_gradient() -> None:
    dim, heads = CONFIG.dim, 1 + CONFIG.vocabulary_size + NUM_SHARED
    layers = 2 * (CONFIG.kernel_size * dim * 2 * dim) + dim * 2 * dim
    whole, halved = aligner_flops_per_frame(CONFIG)
    assert whole == 2 * (2 * CONFIG.codes.dim * dim + 3 * (layers + dim * heads))
    assert halved - whole == 2 * 3 * dim * heads * 2 - 2 * 3 * dim * heads

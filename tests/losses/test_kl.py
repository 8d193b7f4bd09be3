import torch
from torch.distributions import Normal, kl_divergence

from gsv2.losses.kl import kl_divergence as kl_loss
from gsv2.nn.masks import length_mask


def test_its_mean_over_samples_is_the_divergence_of_the_normals() -> None:
    torch.manual_seed(0)
    m_q, m_p = torch.randn(2, 1, 3, 1)
    logs_q, logs_p = torch.randn(2, 1, 3, 1) * 0.3
    shape = (1, 3, 200_000)
    z = m_q + torch.randn(shape) * logs_q.exp()
    got = kl_loss(
        z, logs_q.expand(shape), m_p.expand(shape), logs_p.expand(shape), torch.ones(1, shape[-1])
    )
    expected = kl_divergence(Normal(m_q, logs_q.exp()), Normal(m_p, logs_p.exp())).sum()
    torch.testing.assert_close(got, expected, rtol=0.01, atol=0)


def test_it_is_zero_in_the_mean_for_equal_distributions_and_known_by_hand() -> None:
    zeros, ones = torch.zeros(1, 1, 2), torch.ones(1, 2).bool()
    z = torch.tensor([[[1.0, 3.0]]])
    got = kl_loss(z, zeros, zeros, zeros, ones)  # -0.5 + 0.5 * (1 + 9) / 2
    assert got.item() == 2.0


def test_each_clip_counts_alike_whatever_its_padding() -> None:
    torch.manual_seed(0)
    z_p, logs_q, m_p, logs_p = torch.randn(4, 2, 3, 8)
    mask = length_mask(torch.tensor([8, 3]), 8)
    apart = [
        kl_loss(*(x[i : i + 1, :, :n] for x in (z_p, logs_q, m_p, logs_p)), mask[i : i + 1, :n])
        for i, n in ((0, 8), (1, 3))
    ]
    got = kl_loss(z_p, logs_q, m_p, logs_p, mask)
    torch.testing.assert_close(got, torch.stack(apart).mean())


def test_it_computes_in_fp32() -> None:
    half = torch.randn(4, 1, 3, 8).bfloat16()
    assert kl_loss(*half, torch.ones(1, 8).bool()).dtype == torch.float32

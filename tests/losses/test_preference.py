import math

import pytest
import torch

from gsv2.losses.preference import LogProbabilities, preference_loss


def test_the_loss_is_that_of_the_paper_pair_by_pair():
    policy = LogProbabilities(torch.tensor([-3.0, -10.0]), torch.tensor([-4.0, -6.0]))
    reference = LogProbabilities(torch.tensor([-5.0, -9.0]), torch.tensor([-4.5, -8.0]))
    found = preference_loss(policy, reference, beta=0.5)
    margins = [0.5 * ((-3 + 5) - (-4 + 4.5)), 0.5 * ((-10 + 9) - (-6 + 8))]
    expected = sum(-math.log(1 / (1 + math.exp(-margin))) for margin in margins) / 2
    assert float(found.loss) == pytest.approx(expected)
    assert float(found.metrics["preferred"]) == 0.5
    assert float(found.metrics["margin"]) == pytest.approx(sum(margins) / 2)
    assert float(found.metrics["chosen_gain"]) == pytest.approx(0.5)


def test_a_network_that_is_its_reference_has_the_loss_of_a_coin():
    same = LogProbabilities(torch.randn(5), torch.randn(5))
    assert float(preference_loss(same, same, beta=0.3).loss) == pytest.approx(math.log(2))

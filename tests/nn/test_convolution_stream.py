from itertools import pairwise

import pytest
import torch
from torch import nn

from gsv2.nn.convolution_stream import ConvolutionStream

CUTS = [[0, 40], [0, 0, 1, 2, 3, 20, 20, 39, 40], [0, 40, 40], list(range(41))]


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize(("kernel", "groups"), [(7, 4), (5, 1), (1, 1)])
def test_outputs_are_those_over_all_frames_at_once(cuts, kernel, groups):
    torch.manual_seed(0)
    layer = nn.Conv1d(4, 8, kernel, padding=kernel // 2, groups=groups)
    frames = torch.randn(2, 4, 40)
    stream = ConvolutionStream(layer)
    outputs, places = [], []
    for start, stop in pairwise(cuts):
        is_last = stop == 40 and len(outputs) == len(cuts) - 2
        output, place = stream.push(frames[:, :, start:stop], is_last=is_last)
        assert output.shape[2] == place.shape[2]
        outputs.append(output)
        places.append(place)
    torch.testing.assert_close(torch.cat(outputs, dim=2), layer(frames))
    assert torch.equal(torch.cat(places, dim=2), frames)


def test_an_output_comes_as_soon_as_its_kernel_is_filled():
    stream = ConvolutionStream(nn.Conv1d(1, 1, 7, padding=3))
    counts = [stream.push(torch.zeros(1, 1, 1), is_last=False)[0].shape[2] for _ in range(6)]
    assert counts == [0, 0, 0, 1, 1, 1]

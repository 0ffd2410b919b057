"""The embedding of the timestep against its formula."""

import math

import pytest
import torch
from torch.nn import functional

from posediff.nn.time import TimeEmbedding


def test_the_time_embedding_is_two_layers_on_sines_and_cosines():
    torch.manual_seed(0)
    layer = TimeEmbedding(8, 3).double()
    t = torch.tensor([0, 1, 24, 999])
    angles = [[s * 1e4 ** (-k / 3) for k in range(4)] for s in t.tolist()]
    waves = [[*map(math.sin, row), *map(math.cos, row)] for row in angles]
    h = functional.linear(torch.tensor(waves, dtype=torch.float64), layer.fc1, layer.fc1_bias)
    expected = functional.linear(h * h.sigmoid(), layer.fc2, layer.fc2_bias)
    torch.testing.assert_close(layer(t), expected, rtol=0, atol=1e-12)
    with torch.no_grad():
        equal = layer(torch.full((5,), 24))
    torch.testing.assert_close(equal, expected[2:3], rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", [2, 7])
def test_a_time_embedding_needs_pairs_of_channels(width):
    with pytest.raises(ValueError, match="must be even and >= 4"):
        TimeEmbedding(width, 3)

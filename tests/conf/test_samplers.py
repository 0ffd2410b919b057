"""The samplers of conf/sampler."""

import pytest

from posediff import config, tree
from posediff.diffusion import DDIMSampler, FlowSampler, RepeatSampler


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ddim", DDIMSampler(steps=4, order=1)),
        ("dpm_solver", DDIMSampler(steps=4, order=2)),
        ("flow", FlowSampler(steps=4)),
        ("repeat", RepeatSampler(steps=4)),
    ],
)
def test_a_sampler_is_chosen_by_name(name, expected):
    chosen = ["task=video2d", f"sampler={name}"]
    assert tree.build(config.plain(config.compose("train", chosen)).get("sampler")) == expected

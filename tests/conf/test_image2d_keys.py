"""Every choice of image2d is one key that turns its switch."""

from functools import cache

import pytest

import posediff
from posediff import config
from posediff.nn.backbone import Backbone
from posediff.pose.combined import Combined

SMALL = [f"task.head.decoder.{size}" for size in ("channels=8", "blocks=1", "multipliers=[1,1]")]


@cache
def head(*overrides):
    return posediff.build("image2d", overrides=[*SMALL, "dataset.size=[48,64]", *overrides]).head


@pytest.mark.parametrize(
    ("override", "seen"),
    [
        ("task.head.guide.condition=[]", lambda h: h.sgdd.stem.in_channels == 17),
        ("task.head.guide.condition=[kps]", lambda h: h.guide.condition == ["kps"]),
        ("task.head.guide.condition=[ske]", lambda h: h.guide.condition == ["ske"]),
        ("task.head.guide.kind=none", lambda h: not h.guide.attention),
        ("task.head.guide.kind=spatial", lambda h: list(h.guide.attention) == ["spatial"]),
        ("task.head.guide.channel=davit", lambda h: h.guide.attention.channel.form == "davit"),
        ("task.head.guide.window=5", lambda h: h.guide.attention.spatial.window == 5),
        ("task.head.guide.heads=4", lambda h: h.guide.attention.spatial.heads == 4),
        ("task.head.masks.form=soft", lambda h: h.masks.form == "soft"),
        ("task.head.masks.kps=2", lambda h: h.masks.kps == 2),
        ("task.head.masks.ske=2", lambda h: h.masks.ske == 2),
        ("task.inference.refresh=false", lambda h: not h.refresh),
        ("task.head.decoder.time=none", lambda h: h.sgdd.time is None),
        ("task.codec.rule=hrnet", lambda h: h.coarse.codec.rule == "hrnet"),
        ("task.codec.stride=2", lambda h: h.coarse.codec.shape == (32, 24)),
        ("task.codec.stride=8", lambda h: h.coarse.codec.shape == (8, 6)),
        ("task.head.decoder.channels=16", lambda h: h.sgdd.stem.out_channels == 16),
        ("task.head.decoder.blocks=2", lambda h: len(h.sgdd.down[0]) == 2),
        ("task.head.decoder.multipliers=[1,2,2]", lambda h: len(h.sgdd.down) == 3),
        ("task.head.space.signal_scale=5", lambda h: h.space.signal_scale == 5),
        ("task.head.space.normalise=edges", lambda h: h.space.normalise == "edges"),
        ("task.head.space.draw=rounded", lambda h: h.space.draw == "rounded"),
        ("task.head.space.readout=global", lambda h: h.space.readout == "global"),
        ("task.head.missing=mle", lambda h: h.poses is not None),
        ("task.head.detach_coarse=false", lambda h: not h.detach_coarse),
        ("task.inference.init=coarse+noise", lambda h: h.init == "coarse+noise"),
        ("task.coarse.joint_weight=squared", lambda h: h.coarse.joint_weight == "squared"),
        ("task.coarse.half=true", lambda h: h.coarse.factor == 0.5),
        ("task.coarse.ohkm=8", lambda h: h.coarse.ohkm == 8),
        ("dataset.codec=dark", lambda h: h.coarse.codec.name == "dark"),
        ("backbone.features=32", lambda h: h.coarse.out.in_channels == 32),
        ("backbone=hrnet_w32", lambda h: h.coarse.out.in_channels == 32),
    ],
)
def test_a_key_turns_its_switch(override, seen):
    if override != "backbone=hrnet_w32":
        assert not seen(head())
    assert seen(head(override))


@pytest.mark.parametrize(
    ("override", "seen"),
    [
        ("model.process.train_t=249", lambda m: m.process.train_t == 249),
        ("task.hypotheses=5", lambda m: m.hypotheses == 5),
        ("task.head.space.signal_scale=5", lambda m: m.process.bound == 5),
        ("sampler=repeat", lambda m: type(m.sampler).__name__ == "RepeatSampler"),
        ("sampler.steps=8", lambda m: m.sampler.steps == 8),
        ("sampler.eta=1", lambda m: m.sampler.eta == 1),
        ("preset=sgdd_noise", lambda m: (m.head.init, m.sampler.start) == ("noise", None)),
        ("preset=sgdd_hr", lambda m: m.head.coarse.codec.stride == 2),
        ("preset=sgdd_light", lambda m: m.head.coarse.codec.stride == 8),
        ("task.aggregate=median", lambda m: m.aggregate.func.__name__ == "median"),
    ],
)
def test_a_key_turns_its_switch_of_the_process(override, seen):
    overrides = [*SMALL, "dataset.size=[48,64]"]
    assert not seen(posediff.build("image2d", overrides=overrides))
    assert seen(posediff.build("image2d", overrides=[*overrides, override]))


def test_training_at_one_timestep_draws_no_other():
    model = posediff.build("image2d", overrides=["model.process.train_t=249"])
    assert set(model.process.draw(100, None).tolist()) == {249}
    with pytest.raises(ValueError, match="train_t"):
        posediff.build("image2d", overrides=["model.process.train_t=1000"])


@pytest.mark.parametrize(
    "name", ["small", "efficientnet_lite0", "hrnet_w32", "vit_s", "movenet_thunder"]
)
def test_crops_are_normalised_as_the_backbone_wants(name):
    cfg = config.compose("train", ["task=image2d", f"backbone={name}"])
    model = posediff.build("image2d", overrides=[f"backbone={name}", "dataset.size=[192,256]"])
    network = next(m for m in model.modules() if isinstance(m, Backbone))
    assert list(network.mean) == list(cfg.dataset.mean)
    assert list(network.std) == list(cfg.dataset.std)


def test_combined_maps_are_a_codec_of_the_coarse_head():
    given = ["experiment=image2d_coarse", "dataset.size=[48,64]", "dataset.codec=udp_combined"]
    head = posediff.build("image2d", overrides=given).head
    assert isinstance(head.codec, Combined)
    assert head.out.out_channels == 3 * 17
    with pytest.raises(ValueError, match="experiment=image2d_coarse"):
        posediff.build("image2d", overrides=given[1:])

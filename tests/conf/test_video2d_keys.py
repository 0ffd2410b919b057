"""Every choice of video2d is one key."""

import pytest
from helpers.video2d import OVERRIDES

import posediff
from posediff import config, engine


def head(*overrides):
    given = [*OVERRIDES, "dataset.skeleton=jhmdb15", *overrides]
    return posediff.build("video2d", "custom_video", given).head


def weights(module):
    return sum(p.numel() for p in module.parameters())


# those of a row can be had together
KEYS = (
    {
        "task.head.range=unit01": lambda h: not h.symmetric,
        "task.head.signal_scale=2.0": lambda h: h.signal_scale == 2,
        "task.head.decoder.shift=false": lambda h: not h.decoder.shift,
        "task.clip_features.channels=32": lambda h: h.clip.channels == 32,
        "task.head.decoder.state_channels=16": lambda h: h.decoder.enter.out_channels == 16,
        "task.clip_features.depth=3": lambda h: len(h.clip.strl.layers) == 3,
        "task.clip_features.heads=4": lambda h: h.clip.strl.layers[0].attn.heads == 4,
        "task.clip_features.ratio=3": lambda h: h.clip.strl.layers[0].mlp.fc1.out_features == 96,
        "task.head.decoder.width=16": lambda h: h.decoder.out.in_channels == 16,
        "task.head.decoder.refine=2": lambda h: len(h.decoder.interact["3"].refine) == 2,
        "task.head.decoder.fuse=3": lambda h: len(h.decoder.interact["3"].layers) == 2,
        "task.clip_features.merge=mean": lambda h: h.clip.strl.mlp[0].in_features == 32,
    },
    {
        "task.head.decoder.mode=direct": lambda h: h.decoder.mode == "direct",
        "task.head.decoder.scales=[1,2]": lambda h: h.decoder.scales == [1, 2],
        "task.clip_features.up=bilinear": lambda h: len(h.clip.up[0]) == 4,
        "task.joint_weight=none": lambda h: h.joint_weight == "none",
        "dataset.offsets=[0]": lambda h: h.clip.strl.frames == 1,
        "task.clip_features.patch=2": lambda h: h.clip.strl.embed.kernel_size == (8, 8),
        "dataset.size=[64,96]": lambda h: h.codec.shape == (24, 16),
    },
)


@pytest.mark.parametrize("keys", KEYS)
def test_every_choice_of_the_head_is_one_key(keys):
    made, usual = head(*keys), head()
    for key, seen in keys.items():
        assert seen(made), key
        assert not seen(usual), key


def test_choices_of_the_process_are_keys_too():
    given = ["model.process.train_t=500", "task.head.signal_scale=2.0", "task.every_step=true"]
    model = posediff.build(
        "video2d", "custom_video", [*OVERRIDES, "dataset.skeleton=jhmdb15", *given]
    )
    assert model.process.train_t == 500
    assert model.process.bound == 2
    assert model.every_step
    assert model.hypotheses == 4


def test_the_light_decoder_is_the_same_head_with_narrow_fusing():
    size = ["dataset.size=[32,48]", "backbone=small", "dataset.skeleton=jhmdb15"]
    full, light = (
        posediff.build("video2d", "custom_video", [*size, f"preset={name}"]).head
        for name in ("reconstruction", "decoder_light")
    )
    assert weights(light.clip) == weights(full.clip)
    assert weights(light.decoder) < 0.6 * weights(full.decoder)


def test_a_vision_transformer_s_tokens_are_read_as_they_are():
    given = ["backbone=vit_s", "task.clip_features.depth=1"]
    clip = head(*given).clip
    assert clip.strl.embed.weight.shape == (16, 384, 1, 1)


def test_the_length_of_a_drawn_clip_does_not_make_batches_smaller():
    chosen = ["dataset=synthetic_video", "dataset.length=12"]
    model = posediff.build("video2d", overrides=[*OVERRIDES, *chosen])
    frames = config.compose("eval", ["task=video2d", *chosen]).eval.batch_size
    assert engine.samples_of(frames, model) == 64

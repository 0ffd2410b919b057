"""video2d: the clip's features, and mirrored clips."""

from types import SimpleNamespace

import pytest
import torch
from helpers.video2d import SIZE, THREE, clips, plain_head, video2d
from torch import nn

from posediff.diffusion import Regression
from posediff.nn.vit import ViT
from posediff.tasks.video2d.strl import STRL, ClipFeatures
from posediff.train import groups


def test_the_order_of_the_neighbours_matters_and_that_of_samples_does_not():
    head, sample = video2d(), clips()
    Z = head.clip(sample["frames"])
    assert [z.shape for z in Z] == [(3, 32, 4, 3), (3, 32, 8, 6), (3, 32, 16, 12)]
    swapped = head.clip(sample["frames"].flip(1))
    assert not torch.allclose(Z[0], swapped[0], atol=1e-4)
    assert torch.allclose(head.clip(sample["frames"].flip(0))[0].flip(0), Z[0], atol=1e-5)


def test_the_mean_of_frames_without_layers_does_not_depend_on_their_order():
    torch.manual_seed(0)
    strl = STRL(16, 4, SIZE, 3, channels=32, depth=0, heads=4, merge="mean")
    nn.init.zeros_(strl.position)
    x = torch.randn(2, 3, 16, 16, 12)
    assert torch.allclose(strl(x), strl(x.flip(1)), atol=1e-5)
    assert not torch.allclose(strl(x), strl(x[:, [0, 0, 0]]), atol=1e-3)


@pytest.mark.parametrize("size", [(192, 256), (288, 384)])
@pytest.mark.parametrize(("stride", "patch"), [(4, 1), (16, 1), (16, 2), (4, 2)])
def test_the_clip_map_has_a_sixteenth_of_the_crop(size, stride, patch):
    W, H = size
    for frames in (1, 2):
        strl = STRL(8, stride, size, frames, channels=16, patch=patch, depth=1, heads=2)
        if H // 16 % patch == 0 and W // 16 % patch == 0:
            z = strl(torch.randn(1, frames, 8, H // stride, W // stride))
            assert z.shape == (1, 16, H // 16, W // 16)


def test_a_transformer_gives_its_tokens_and_no_deconvolution_is_left():
    backbone = ViT("small", (32, 32))
    features = ClipFeatures(backbone, (32, 32), THREE, channels=32, depth=1, scales=1)
    assert (backbone.channels, backbone.stride) == (384, 16)
    assert not [name for name in backbone.state_dict() if name.startswith(backbone.optional)]
    assert features(torch.randn(1, 3, 3, 32, 32))[0].shape == (1, 32, 2, 2)
    with pytest.raises(ValueError, match=r"offsets"):
        features(torch.randn(1, 2, 3, 32, 32))


def test_a_backbone_s_layers_learn_the_slower_the_deeper_they_lie():
    recipe = SimpleNamespace(optimizer=SimpleNamespace(lr=1.0), layer_decay=0.5)
    head = plain_head(size=(32, 32), backbone=ViT("small", (32, 32)))
    found = groups(SimpleNamespace(trainer=recipe), Regression(head))
    rate = {id(p): group["lr"] for group in found for p in group["params"]}
    backbone = head.clip.backbone
    assert rate[id(backbone.pos_embed)] == 0.5**13
    assert rate[id(backbone.blocks[0].norm1.weight)] == 0.5**12
    assert rate[id(backbone.blocks[11].norm1.weight)] == 0.5
    assert rate[id(backbone.last_norm.weight)] == rate[id(head.clip.strl.position)] == 1
    assert len(rate) == len(list(head.parameters()))


def test_interpolation_can_take_the_place_of_deconvolutions():
    Z = video2d(up="bilinear").clip(clips()["frames"])
    assert Z[2].shape == (3, 32, 16, 12)


def test_weights_of_the_clip_serve_every_decoder_and_the_baseline():
    def names(head):
        return {k: x.shape for k, x in head.clip.state_dict().items()}

    plain = plain_head()
    for options in ({}, {"width": 32}, {"scales": [1]}):
        assert names(video2d(**options)) == names(plain)


@pytest.mark.parametrize("codec", ["udp", "quarter"])
def test_mirroring_twice_changes_nothing_but_the_classic_border(codec):
    head, sample = video2d(codec=codec), clips()
    twice = head.mirror_sample(head.mirror_sample(sample))
    for key in ("keypoints", "frames", "visible", "affine"):
        assert torch.allclose(twice[key], sample[key], atol=1e-5)
    x = head.target(sample)
    inner = slice(None) if codec == "udp" else slice(1, -1)
    assert torch.equal(head.mirror(head.mirror(x))[..., inner], x[..., inner])
    if codec == "udp":  # the others draw at whole pixels, which a mirror rounds the other way
        mirrored = head.target(head.mirror_sample(sample))
        assert torch.allclose(mirrored, head.mirror(x), atol=1e-5)

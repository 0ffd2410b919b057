"""image2d: states, masks, attention, decoder and head against closed forms and oracles."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posediff.diffusion import (
    DDIMSampler,
    DiffusionModel,
    FlipTest,
    Noise,
    Process,
    Regression,
    RepeatSampler,
)
from posediff.diffusion.aggregate import median
from posediff.diffusion.schedule import cosine
from posediff.nn.backbone import Backbone
from posediff.pose.affine import invert, transform
from posediff.pose.heatmap import Codec
from posediff.pose.skeleton import skeleton
from posediff.tasks.flip import BothViews
from posediff.tasks.image2d import Coarse, Image2D
from posediff.tasks.image2d.attention import Guide
from posediff.tasks.image2d.missing import PoseGaussian
from posediff.tasks.image2d.sgdd import SGDD
from posediff.tasks.image2d.structure import Masks, Pair, Space

BONES = skeleton("crowdpose14")
J = len(BONES.joints)
SIZE = (96, 128)
LIGHT = {"channels": 8, "blocks": 1, "multipliers": (1, 2)}
WARM = DDIMSampler(4, start=250)


class Tiny(Backbone):
    """Two strided convolutions and a look around."""

    channels = 32

    def __init__(self):
        super().__init__()
        layers, c = [], 3
        for stride in (2, 2, 1, 1):
            layers += [nn.Conv2d(c, 32, 3, stride, 1), nn.GroupNorm(4, 32), nn.ReLU()]
            c = 32
        self.net = nn.Sequential(*layers)

    def forward(self, image):
        return self.net(image)


def image2d(size=SIZE, **options):
    torch.manual_seed(0)
    head = Image2D("crowdpose14", Tiny(), **{"size": size, **LIGHT, **options})
    for out in (head.coarse.out, head.sgdd.out):  # maps with something to see from the start
        nn.init.normal_(out.weight, std=0.3)
    return head.eval()


def diffusion(head, sampler=WARM, K=1):
    return DiffusionModel(head, Process(cosine(1000), clip=2.0), sampler, hypotheses=K)


def people(n=3, size=SIZE, seed=0):
    """Keypoints inside the crop, noise for a picture, and a crop that is not the picture."""
    g = torch.Generator().manual_seed(seed)
    inside = 0.15 + 0.7 * torch.rand(n, J, 2, generator=g)
    return {
        "id": [f"p{i}" for i in range(n)],
        "image": torch.randn(n, 3, size[1], size[0], generator=g),
        "keypoints": inside * (torch.tensor(size) - 1),
        "visible": torch.ones(n, J),
        "affine": torch.tensor([[0.5, 0.0, 3.0], [0.0, 0.5, -7.0]]).repeat(n, 1, 1),
    }


class Says(nn.Module):
    """In the place of a network: says the same of every sample, for all its hypotheses."""

    def __init__(self, maps):
        super().__init__()
        self.maps, self.calls = maps, 0
        self.stem_features = nn.Identity()

    def forward(self, seen, *rest):
        self.calls += 1
        return self.maps.repeat_interleave(len(seen) // len(self.maps), 0)


def truth(head, sample):
    return head.coarse.codec.encode(sample["keypoints"], sample["visible"])[0]


def oracle(head, sample, coarse=False):
    head.sgdd = Says(truth(head, sample))
    if coarse:
        head.coarse.out = Says(truth(head, sample))
    return head


# --- states


@pytest.mark.parametrize("stride", [8, 4, 2, 1])
@pytest.mark.parametrize(("codec", "tolerance"), [("udp", 0.05), ("dark", 0.05), ("quarter", 0.5)])
def test_a_state_is_read_back_from_the_heatmap_it_is_drawn_as(codec, tolerance, stride):
    space = Space(Codec(codec, (192, 256), stride))
    points = people(size=(192, 256))["keypoints"]
    x = space.state(points)
    target, weight = space.codec.encode(points, torch.ones(3, J))
    assert (weight == 1).all()
    for maps in (space.render(space.drawn(x)), target):
        assert (space._map(space.read(maps)) - space._map(x)).abs().max() <= tolerance


def test_corners_and_edges_of_the_map_are_the_ends_of_a_state():
    codec = Codec("udp", SIZE)
    ends = torch.tensor([[[0.0, 0.0], [95.0, 127.0]]])
    state = Space(codec, scale=2.0).state(ends)
    assert torch.allclose(state, torch.tensor([[[-2.0, -2.0], [2.0, 2.0]]]))
    state = Space(codec, scale=2.0, normalise="edges").state(ends)
    assert torch.allclose(state[0, 1], 2 * (1 - 1 / torch.tensor([24.0, 32.0])))


def test_drawing_clamps_and_may_round_but_the_state_stays():
    space = Space(Codec("udp", SIZE), scale=2.0)
    x = torch.tensor([[[-9.0, 0.1], [1.0, 9.0]]])
    kept = x.clone()
    drawn = space.drawn(x)
    assert torch.equal(x, kept)
    assert drawn[0, 0, 0] == 0
    assert drawn[0, 1, 1] == 31
    assert space.render(drawn).flatten(2).amax(-1).min() > 0.8
    rounded = replace(space, draw="rounded").drawn(x)
    assert torch.equal(rounded, (drawn + 0.5).floor())


def test_a_second_mode_drags_the_global_readout_and_not_the_local_one():
    space = Space(Codec("udp", SIZE))
    at = torch.tensor([[[2.0, 3.0]]]), torch.tensor([[[15.0, 20.0]]])
    maps = space.render(at[0]) + 0.8 * space.render(at[1])
    near = space._map(space.read(maps))
    far = space._map(replace(space, readout="global").read(maps))
    assert (near - at[0]).norm() < 0.1
    assert 5 < (far - at[0]).norm() < 15


@pytest.mark.parametrize("codec", ["udp", "quarter"])
def test_mirroring_twice_changes_nothing_but_the_classic_border(codec):
    head, sample = image2d(codec=codec), people()
    x = head.target(sample)
    assert torch.allclose(head.mirror(head.mirror(x)), x, atol=1e-5)
    maps = truth(head, sample)
    twice = head.mirror(head.mirror(maps))
    inner = slice(None) if codec == "udp" else slice(1, -1)
    assert torch.equal(twice[..., inner], maps[..., inner])
    seen = head.mirror_sample(head.mirror_sample(sample))
    assert torch.allclose(seen["keypoints"], sample["keypoints"], atol=1e-5)
    assert torch.equal(seen["image"], sample["image"])
    mirrored = head.target(head.mirror_sample(sample))
    assert torch.allclose(mirrored, head.mirror(x), atol=1e-5)
    if codec == "udp":
        swapped = x[:, BONES.flip] * torch.tensor([-1.0, 1.0])
        assert torch.allclose(head.mirror(x), swapped, atol=1e-5)


# --- diffusion of coordinates


def test_coordinates_are_diffused_with_the_mean_and_spread_of_the_schedule():
    n, head, process = 4000, image2d(), Process(cosine(1000))
    x_0 = head.target(people(1)).expand(n, J, 2)
    context = {"coarse": torch.zeros(n, J, 32, 24)}
    noise = Noise.plain(torch.Generator().manual_seed(0))
    prior = head.prior(context, noise)
    for t in (100, 499, 999):
        x = process.diffuse(x_0, prior.noise(noise), torch.full((n,), t), prior)
        a, s = float(process.schedule.alpha[t]), float(process.schedule.sigma[t])
        assert ((x.mean(0) - a * x_0[0]).abs() < 5 * s / math.sqrt(n)).all()
        assert ((x.std(0) / s - 1).abs() < 5 / math.sqrt(2 * n)).all()


def test_training_sees_every_timestep_alike():
    head, seen = image2d(), []
    head.encode = lambda sample: {"coarse": torch.zeros(len(sample["id"]), J, 32, 24)}
    head.loss = lambda x_t, t, *rest: seen.append(t) or torch.zeros(len(t))
    torch.manual_seed(0)
    model, sample = diffusion(head), people(500)
    for _ in range(80):
        model.loss(sample)
    counts = torch.histc(torch.cat(seen).float(), 10, 0, 1000)
    assert torch.cat(seen).min() < 5
    assert torch.cat(seen).max() > 994
    assert (counts - 4000).abs().max() < 5 * math.sqrt(4000)


# --- inference


@pytest.mark.parametrize("init", ["coarse", "coarse+noise", "noise"])
@pytest.mark.parametrize("steps", [1, 3, 4])
def test_an_oracle_is_believed_from_every_start(init, steps):
    sample = people()
    head = oracle(image2d(init=init), sample)
    sampler = DDIMSampler(steps, start=None if init == "noise" else 250)
    encoded, encode = [], head.encode
    head.encode = lambda sample: encoded.append(1) or encode(sample)
    poses = diffusion(head, sampler).predict(sample)
    assert (len(encoded), head.sgdd.calls) == (1, steps)
    exact = transform(sample["keypoints"], invert(sample["affine"]))
    assert (poses.keypoints - exact).abs().max() < 2 * 0.2  # a crop pixel is 2 of the picture
    assert torch.allclose(poses.scores, truth(head, sample).flatten(2).amax(-1))


def test_one_step_is_one_forward_pass():
    head, sample = image2d(), people()
    model = diffusion(head, DDIMSampler(1, timesteps=[249]))
    with torch.no_grad():
        context = head.encode(sample)
        x = model.process.schedule.alpha[249] * head.start(context)
        once = head.denoise(x.float(), torch.full((3,), 249), context)
    assert torch.allclose(model.sample(sample).estimates[:, 0], once.evidence, atol=1e-6)


def test_where_inference_begins():
    assert WARM.grid(1000) == [249, 186, 124, 61, -1]
    sample, schedule = people(), cosine(1000)
    a, s = schedule.alpha[249], schedule.sigma[249]
    begin = {}
    for init in ("coarse", "coarse+noise"):
        head = image2d(init=init)
        begin[init] = next(diffusion(head).trajectory(sample, 1)).x_t
    coarse = head.space.read(head.coarse(sample)).detach()
    assert torch.allclose(begin["coarse"], a.float() * coarse, atol=1e-5)
    eps = Noise(0, sample["id"]).normal((3, J, 2))
    assert torch.allclose(begin["coarse+noise"] - begin["coarse"], s.float() * eps, atol=1e-5)
    with pytest.raises(ValueError, match=r"sampler\.start"):
        diffusion(image2d(init="noise")).predict(sample)


def test_a_perfect_start_and_an_oracle_stay_perfect():
    sample = people()
    head = oracle(image2d(), sample, coarse=True)
    for step in diffusion(head).trajectory(sample, 1):
        assert (step.x_0 - head.target(sample)).abs().max() < 0.03


def test_equal_hypotheses_are_refused_and_drawn_ones_differ():
    sample = people()
    with pytest.raises(ValueError, match=r"prior\.init=coarse\+noise"):
        diffusion(image2d(), K=3).predict(sample)
    with pytest.raises(ValueError, match="all the same"):
        diffusion(image2d(), RepeatSampler(2, start=250), K=2).predict(sample)
    for head, sampler in (
        (image2d(), replace(WARM, eta=1.0)),
        (image2d(init="coarse+noise"), WARM),
        (image2d(init="noise"), DDIMSampler(2)),
    ):
        drawn = diffusion(head, sampler, K=3).sample(sample)
        assert (drawn.estimates[:, 0] - drawn.estimates[:, 1]).abs().max() > 1e-4
        assert median(drawn).keypoints.shape == (3, J, 2)


def test_repeating_hands_the_heatmaps_back():
    head, sample, seen = image2d(), people(), []
    sgdd = head.sgdd.forward
    head.sgdd.forward = lambda maps, *rest: seen.append(maps) or sgdd(maps, *rest)
    steps = list(diffusion(head, RepeatSampler(3, start=250)).trajectory(sample, 1))
    assert len(seen) == 3
    assert torch.equal(seen[1], steps[0].estimate)
    assert torch.equal(seen[2], steps[1].estimate)
    assert steps[0].x_t.shape == (3, J, 2)
    assert steps[1].x_t.shape == (3, J, 32, 24)


@pytest.mark.parametrize("sampler", [WARM, RepeatSampler(3, start=250)])
def test_under_the_flip_test_a_mirrored_picture_gives_the_mirrored_answer(sampler):
    head, sample = image2d(), people()
    answer, mirrored = (
        diffusion(FlipTest(head), sampler).sample(s).estimates[:, 0]
        for s in (sample, head.mirror_sample(sample))
    )
    assert torch.allclose(head.mirror(mirrored), answer, atol=1e-5)
    alone = diffusion(head, sampler).sample(sample).estimates[:, 0]
    assert not torch.allclose(alone, answer, atol=1e-3)


def test_every_estimate_lies_within_the_clip():
    head, sample = image2d(init="noise", normalise="edges", scale=2.0), people()
    head.space = replace(head.space, scale=3.0)  # so that the network oversteps
    for step in diffusion(FlipTest(head), DDIMSampler(3)).trajectory(sample, 2):
        assert step.x_0.abs().max() <= 2.0


def test_the_spread_of_one_hypothesis_is_that_of_its_heatmap():
    sample = people()
    head = oracle(image2d(), sample)
    spread = diffusion(head).predict(sample).spread
    wide = 2 * math.sqrt(2) * head.coarse.codec.sigma * 127 / 31  # crop pixels are 2 of the picture
    assert ((spread / wide - 1).abs() < 0.15).float().mean() > 0.8


# --- masks


def test_masks_are_disks_and_capsules():
    masks = Masks([(0, 1)], sigma=2.0, kps=2.0, ske=1.0)
    kps, ske = masks(torch.tensor([[[6.0, 5.0], [14.0, 11.0], [20.0, 20.0]]]), (24, 26))
    for y in range(24):
        for x in range(26):
            q = np.array([x, y], float)
            joints = np.array([[6, 5], [14, 11], [20, 20]], float)
            d = np.linalg.norm(joints - q, axis=1).min()
            a, b = joints[:2]
            s = np.clip((q - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
            e = np.linalg.norm(a + s * (b - a) - q)
            if abs(d - 4) > 1e-4:
                assert kps[0, 0, y, x] == (d < 4)
            if abs(e - 2) > 1e-4:
                assert ske[0, 0, y, x] == (e < 2)


def test_soft_masks_are_maxima_of_gaussians():
    masks = Masks([(0, 1)], sigma=1.0, form="soft", kps=2.0, ske=1.5)
    points = torch.tensor([[[3.0, 3.0], [9.0, 3.0]]])
    kps, ske = masks(points, (8, 12))
    assert kps[0, 0, 3, 3] == 1
    assert ske[0, 0, 3, 6] == 1
    assert float(kps[0, 0, 3, 6]) == pytest.approx(math.exp(-9 / 8))
    assert float(ske[0, 0, 5, 6]) == pytest.approx(math.exp(-4 / 4.5))


def test_joints_that_are_not_present_are_in_no_mask_nor_are_their_bones():
    masks = Masks([(0, 1), (1, 2)], sigma=1.0, kps=1.5)
    points = torch.tensor([[[2.0, 2.0], [8.0, 2.0], [8.0, 9.0]]])
    kps, ske = masks(points, (12, 12), torch.tensor([[False, True, True]]))
    assert kps[0, 0, 2, 2] == ske[0, 0, 2, 2] == ske[0, 0, 2, 5] == 0
    assert kps[0, 0, 2, 8] == ske[0, 0, 6, 8] == 1
    kps, ske = masks(points, (12, 12), torch.zeros(1, 3, dtype=torch.bool))
    assert not kps.any()
    assert not ske.any()


def test_masks_of_a_mirrored_state_are_mirrored_without_a_swap():
    head = image2d()
    x = head.target(people())
    seen = head.masks(head.space.drawn(x), (32, 24))
    mirrored = head.masks(head.space.drawn(head.mirror(x)), (32, 24))
    for a, b in zip(seen, mirrored, strict=True):
        assert (a.flip(-1) != b).float().mean() < 0.01  # pixels right on a border
        assert 0.05 < a.mean() < 0.95


def test_masks_that_are_not_refreshed_are_those_of_the_coarse_pose():
    sample = people()
    head = image2d(masks={"refresh": False})
    with torch.no_grad():
        context = head.encode(sample)
        points = head.space.drawn(head.start(context))
        projected = head.guide.project(head.coarse.features(sample))
        once = head.guide(projected, head.masks(points, (32, 24)))
        assert torch.allclose(context["guide"], once)
        assert "features" not in context
        assert "guide" not in head.train().encode(sample)
        head.masks = None  # not asked again
        head.denoise(torch.randn(3, J, 2), torch.tensor([9, 9, 9]), context)


@pytest.mark.parametrize("condition", [[], ["kps"], ["ske"], ["ske", "kps"]])
def test_the_condition_is_what_was_asked_for(condition):
    head, sample = image2d(condition=condition), people()
    assert bool(head.guide.attention) == (len(condition) == 2)
    assert head.sgdd.stem.in_channels == J + (32 if condition else 0)
    context = head.encode(sample)
    x, t = torch.randn(3, J, 2), torch.tensor([9, 9, 9])
    points = head.space.drawn(x)
    if len(condition) == 1:
        mask = getattr(head.masks(points, (32, 24)), condition[0])
        assert torch.equal(head._guide(points, context), context["features"] * mask)
    assert head.denoise(x, t, context).evidence.shape == (3, J, 32, 24)


# --- attention


def guide(width=8, **options):
    torch.manual_seed(0)
    return Guide(width, heads=2, window=7, **options)


def masked(h=16, w=12, width=8):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2, width, h, w, generator=g)
    kps, ske = (torch.rand(2, 2, 1, h, w, generator=g) > 0.4).float()
    return x, Pair(kps, ske)


@pytest.mark.parametrize("shape", [(16, 12), (14, 7), (3, 2), (8, 15)])
def test_window_attention_sees_its_window_and_no_padding(shape):
    """Against attention spelt out, window by window, of features that were masked first."""
    x, masks = masked(*shape)
    part = guide(kind="spatial").attention["spatial"]
    q = part.qkv(x * masks.kps)[:, :8]
    k, v = part.qkv(x * masks.ske)[:, 8:].chunk(2, 1)
    expected = torch.zeros_like(x)
    for top in range(0, shape[0], 7):
        for left in range(0, shape[1], 7):
            at = (..., slice(top, top + 7), slice(left, left + 7))
            for head in range(2):
                c = slice(4 * head, 4 * head + 4)
                a, b, e = (z[at][:, c].flatten(2) for z in (q, k, v))
                y = (a.mT @ b / 2).softmax(-1) @ e.mT
                expected[:, c, *at[1:]] = y.mT.view(expected[:, c, *at[1:]].shape)
    assert torch.allclose(part(part.project(x), masks), part.out(expected), atol=1e-5)


@pytest.mark.parametrize("form", ["cross", "davit"])
def test_channel_attention_is_its_equation(form):
    x, masks = masked()
    part = guide(kind="channel", channel=form).attention["channel"]
    q = part.qkv(x * masks.kps)[:, :8].view(2, 2, 4, -1)
    k, v = (y.view(2, 2, 4, -1) for y in part.qkv(x * masks.ske)[:, 8:].chunk(2, 1))
    if form == "cross":
        weights = torch.einsum("bgin,bgjn->bgij", q, k).div(math.sqrt(16 * 12)).softmax(-1)
        y = torch.einsum("bgij,bgjn->bgin", weights, v)
    else:
        weights = torch.einsum("bgin,bgjn->bgij", k / 2, v).softmax(-1)
        y = torch.einsum("bgij,bgjn->bgin", weights, q)
    expected = part.out(y.reshape(2, 8, 16, 12))
    assert torch.allclose(part(part.project(x), masks), expected, atol=1e-5)


def test_without_values_the_joints_features_pass_unchanged():
    x, masks = masked()
    net = guide()
    for part in net.attention.values():
        nn.init.zeros_(part.qkv.weight[16:].data)
    assert torch.equal(net(net.project(x), masks), x * masks.kps)


def test_gradients_reach_queries_keys_and_values():
    x, masks = masked()
    for form in ("cross", "davit"):
        net = guide(channel=form)
        net(net.project(x), masks).square().sum().backward()
        for part in net.attention.values():
            for share in part.qkv.weight.grad.chunk(3):
                assert share.abs().max() > 1e-6


def test_bad_choices_are_one_line_that_says_what_may_be_chosen():
    for options, word in (
        ({"attention": {"kind": "all"}}, "both"),
        ({"attention": {"heads": 5}}, "heads"),
        ({"masks": {"form": "wide"}}, "soft"),
        ({"init": "x_t"}, "coarse"),
        ({"missing": "zero"}, "mle"),
        ({"channels": 12}, "multiple of 8"),
        ({"stride": 3}, "stride"),
        ({"weight": "cubic"}, "squared"),
        ({"time": "t"}, "film"),
    ):
        with pytest.raises(ValueError, match=word):
            image2d(**options)
    with pytest.raises(ValueError, match="96 x 128"):
        image2d().encode(people(size=(48, 64)))


# --- decoder


@pytest.mark.parametrize(
    ("size", "stride", "shape", "bottom", "sigma"),
    [
        ((192, 256), 8, (32, 24), (4, 3), 1),
        ((192, 256), 4, (64, 48), (8, 6), 2),
        ((192, 256), 2, (128, 96), (16, 12), 4),
        ((192, 256), 1, (256, 192), (32, 24), 8),
        ((288, 384), 8, (48, 36), (6, 5), 1.5),
        ((288, 384), 4, (96, 72), (12, 9), 3),
    ],
)
def test_maps_have_the_size_of_their_stride_and_come_out_as_they_went_in(
    size, stride, shape, bottom, sigma
):
    codec, seen = Codec("udp", size, stride), []
    net = SGDD(J, 8, channels=8, blocks=1)
    net.down[-1].register_forward_hook(lambda m, x, y: seen.append(y))
    x_fea = torch.randn(1, 8, *shape)
    maps = torch.randn(1, J, *shape)
    with torch.no_grad():
        out = net(maps, x_fea, net.stem_features(x_fea), torch.tensor([3]))
    assert (codec.shape, codec.sigma) == (shape, sigma)
    assert out.shape == maps.shape
    assert seen[0].shape == (1, 16, *bottom)


@pytest.mark.parametrize("stride", [8, 2, 1])
def test_features_come_at_the_stride_of_the_maps(stride):
    head = image2d(stride=stride)
    context = head.encode(people())
    assert context["coarse"].shape[-2:] == context["stem"].shape[-2:] == head.coarse.codec.shape


def test_the_time_is_seen_only_if_asked_for():
    maps, x_fea = torch.randn(2, J, 8, 8), torch.randn(2, 8, 8, 8)
    for time, equal in (("film", False), ("none", True)):
        torch.manual_seed(0)
        net = SGDD(J, 8, time=time, **LIGHT)
        nn.init.normal_(net.out.weight)
        a, b = (net(maps, x_fea, net.stem_features(x_fea), torch.tensor([t, t])) for t in (3, 700))
        assert torch.allclose(a, b) == equal


def test_the_stem_of_the_features_is_a_part_of_one_convolution():
    maps, x_fea, other = torch.randn(1, J, 8, 8), torch.randn(1, 8, 8, 8), torch.randn(1, 8, 8, 8)
    net = SGDD(J, 8, **LIGHT)
    weight = torch.cat([net.stem.weight, net.stem_features.weight], 1)
    whole = nn.functional.conv2d(torch.cat([maps, other, x_fea], 1), weight, net.stem.bias, 1, 1)
    parts = net.stem(torch.cat([maps, other], 1)) + net.stem_features(x_fea)
    assert torch.allclose(whole, parts, atol=1e-5)


def test_a_step_of_the_light_preset_costs_an_eighth_of_a_gmac():
    head = Image2D("coco17", Tiny(), stride=8, channels=32).eval()
    sample = {"image": torch.zeros(1, 3, 256, 192)}
    with torch.no_grad():
        context = head.encode(sample)
        with FlopCounterMode(display=False) as counter:
            head.denoise(torch.zeros(1, 17, 2), torch.tensor([9]), context)
    assert 0.11 < counter.get_total_flops() / 2e9 < 0.13


# --- loss


def test_the_loss_is_that_of_the_decoder_and_of_the_coarse_head():
    head, sample = image2d(), people()
    target, noisy = truth(head, sample), torch.randn(3, J, 32, 24)
    context = {**head.encode(sample), "coarse": target + 0.1 * noisy}
    head.sgdd = Says(target)
    x, t = head.target(sample), torch.tensor([5, 6, 7])
    loss = head.loss(x, t, x, context, sample)
    expected = (0.1 * noisy).square().mean((1, 2, 3))
    assert torch.allclose(loss, expected, atol=1e-6)
    head.sgdd = Says(target + 0.2 * noisy)
    assert torch.allclose(head.loss(x, t, x, context, sample), 5 * expected, atol=1e-6)


@pytest.mark.parametrize("missing", ["noise", "drop", "mle"])
def test_a_joint_without_a_label_leaves_no_trace_in_the_gradient(missing):
    head, sample = image2d(missing=missing).train(), people()
    sample["visible"][:, 4] = 0
    sample["keypoints"][:, 4] = torch.tensor([1e4, torch.nan])
    loss = diffusion(head).loss(sample)
    loss.backward()
    for out in (head.sgdd.out, head.coarse.out):
        assert not out.weight.grad[4].any()
        assert all(out.weight.grad[j].any() for j in range(J) if j != 4)
    assert torch.isfinite(loss)


def test_every_weight_learns():
    head = image2d(missing="mle").train()
    diffusion(head).loss(people()).backward()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_joint_without_a_label_is_drawn_and_masked_as_chosen():
    sample, seen = people(200), {}
    sample["visible"][:, 4] = 0
    for missing in ("noise", "drop", "mle"):
        head = image2d(missing=missing)
        maps = truth(head, sample)
        head._decoder = lambda *args, at=missing, maps=maps: seen.update({at: args}) or maps
        x, t, context = head.target(sample), torch.full((200,), 5), {"coarse": maps}
        torch.manual_seed(0)
        head.loss(x, t, x, context, sample)
    maps, points, *_, present = seen["noise"]
    x = head.space._state(points)[:, 4]  # N(0, 1), drawn within 2
    assert 0.7 < x.std() < 1.05
    assert 0.4 < present[:, 4].float().mean() < 0.6
    assert present[:, 5].all()
    assert maps[:, 4].flatten(1).amax(-1).min() > 0.8
    assert not seen["drop"][0][:, 4].any()
    assert not seen["drop"][-1][:, 4].any()
    assert seen["mle"][-1].all()


def test_missing_joints_are_filled_in_with_their_conditional_mean():
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(6, 6, generator=g).double()
    x = (torch.randn(20000, 6, generator=g).double() @ mix + 3).view(-1, 3, 2)
    poses, labelled = PoseGaussian(3).train(), torch.ones(20000, 3, dtype=torch.bool)
    assert torch.equal(poses(x, labelled), x)
    labelled = torch.tensor([[True, False, True]])
    S = mix.T @ mix
    o, m = [0, 1, 4, 5], [2, 3]
    known = x[:1].flatten(1)[:, o] - 3
    expected = 3 + known @ torch.linalg.solve(S[o][:, o], S[o][:, m])
    filled = poses.eval()(x[:1], labelled)
    assert torch.allclose(filled[:, 1], expected, rtol=0.05, atol=0.1)
    assert torch.equal(filled[:, ::2], x[:1, ::2])
    assert not PoseGaussian(3).eval()(x[:1], torch.zeros(1, 3, dtype=torch.bool)).any()


def test_the_loss_of_hrnet_is_squared_and_halved(shared):
    stored = np.load(shared / "golden/heatmap_loss.npz", allow_pickle=False)
    pred, target, weight = (torch.from_numpy(stored[k]) for k in ("pred", "target", "weight"))
    pred.requires_grad_()
    hrnet = Coarse("coco17", Tiny(), size=(48, 64), weight="squared", half=True)
    loss = hrnet.error(pred, target, weight[..., 0]).mean()
    assert float(loss.detach()) == pytest.approx(float(stored["mse_weighted"]), abs=1e-6)
    loss.backward()
    assert np.abs(pred.grad.numpy() - stored["grad_mse_weighted"]).max() < 1e-6
    ones = hrnet.error(pred, target, torch.ones(3, 17)).mean()
    assert float(ones.detach()) == pytest.approx(float(stored["mse_unweighted"]), abs=1e-6)
    linear = Coarse("coco17", Tiny(), size=(48, 64))
    each = linear.error(pred, target, weight[..., 0].sqrt()).square().mean()
    assert each > 0
    assert torch.allclose(
        linear.error(pred, target, weight[..., 0].square()) / 2,
        hrnet.error(pred, target, weight[..., 0]),
    )


# --- the coarse head alone


def test_the_coarse_head_of_a_diffusion_is_a_baseline_as_it_stands():
    head, sample = image2d(), people()
    model = Regression(head.coarse)
    poses = model.predict(sample)
    maps = head.encode(sample)["coarse"]
    assert torch.equal(poses.keypoints, head.decode(maps[:, None], sample).keypoints[:, 0])
    assert model.loss(sample) > 0


def test_both_views_of_the_coarse_head_are_averaged():
    head, sample = image2d(), people()
    both = Regression(BothViews(head.coarse)).sample(sample).estimates[:, 0]
    with torch.no_grad():
        maps, mirrored = (head.coarse(s) for s in (sample, head.mirror_sample(sample)))
        context = FlipTest(head).encode(sample)
        x, y = (head.space.read(m) for m in (maps, mirrored))
    assert torch.allclose(both, (maps + head.mirror(mirrored)) / 2, atol=1e-6)
    assert torch.allclose(head.start(context), (x + head.mirror(y)) / 2, atol=1e-5)
    assert not torch.allclose(both, maps, atol=1e-3)


def test_the_start_is_detached_from_the_coarse_head_unless_asked_for():
    sample = people()
    for detach in (True, False):
        head = image2d(detach_coarse=detach)
        assert head.start(head.encode(sample)).requires_grad != detach


# --- learning


def figures(n=8):
    """Stick figures whose bones differ in colour."""
    g = torch.Generator().manual_seed(3)
    standing = torch.tensor(
        [[30, 18], [18, 18], [34, 28], [14, 28], [36, 37], [12, 37], [28, 36], [20, 36], [29, 47],
         [19, 47], [29, 58], [19, 58], [24, 5], [24, 13]]
    )  # fmt: skip
    keypoints = 2 * standing + 5 * torch.randn(n, J, 2, generator=g)
    colours, image = torch.rand(len(BONES.edges), 3, generator=g), torch.zeros(n, 3, 128, 96)
    for bone, colour in zip(BONES.edges, colours, strict=True):
        line = Masks([bone], sigma=2.0)(keypoints, (128, 96)).ske
        image = torch.where(line > 0, colour[:, None, None], image)
    return {
        "id": [str(i) for i in range(n)],
        "image": 4 * image - 1,
        "keypoints": keypoints,
        "visible": torch.ones(n, J),
        "affine": torch.eye(2, 3).repeat(n, 1, 1),
    }


def pck(poses, sample):
    """Share of joints within 0.2 torsos."""
    torso = (sample["keypoints"][:, 0] - sample["keypoints"][:, 7]).norm(dim=-1)
    off = (poses.keypoints - sample["keypoints"]).norm(dim=-1)
    return float((off <= 0.2 * torso[:, None]).float().mean())


@pytest.mark.slow
def test_eight_figures_are_learned_and_the_decoder_is_no_worse_than_its_coarse_head():
    torch.manual_seed(0)
    sample = figures()
    head = Image2D("crowdpose14", Tiny(), size=SIZE, channels=16, blocks=1, multipliers=(1, 2))
    model = diffusion(head).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(250):
        optimizer.zero_grad()
        model.loss(sample).backward()
        optimizer.step()
    model.eval()
    right, coarse = (pck(m.predict(sample), sample) for m in (model, Regression(head.coarse)))
    assert right > 0.95
    assert right >= coarse

"""video2d: clip features, decoder and head against closed forms and oracles."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posediff.diffusion import DDIMSampler, DiffusionModel, FlipTest, Process, Regression
from posediff.diffusion.aggregate import mean
from posediff.diffusion.schedule import cosine, linear
from posediff.nn.backbone import Backbone
from posediff.nn.vit import ViT
from posediff.pose.affine import invert, transform
from posediff.pose.skeleton import skeleton
from posediff.tasks.flip import BothViews
from posediff.tasks.video2d import Plain, Video2D
from posediff.tasks.video2d.decoder import Interaction, PoseDecoder
from posediff.tasks.video2d.strl import STRL, ClipFeatures
from posediff.train import groups

BONES = skeleton("crowdpose14")
J = len(BONES.joints)
SIZE = (48, 64)
THREE = (-1, 0, 1)
LIGHT = {"channels": 32, "state_channels": 16, "lookup": {"width": 16}}
LIGHT |= {"strl": {"depth": 1, "heads": 4, "ratio": 2}, "offsets": THREE}


class Tiny(Backbone):
    """Two strided convolutions; counts its calls."""

    channels = 16

    def __init__(self):
        super().__init__()
        self.calls = []
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU()
        )

    def forward(self, image):
        self.calls.append(len(image))
        return self.net(image)


def loud(head):
    """Maps with something to see before any training."""
    out = head.decoder.out if isinstance(head, Video2D) else head.out
    nn.init.normal_(out.weight, std=0.3)
    return head.eval()


def video2d(**options):
    torch.manual_seed(0)
    return loud(Video2D("crowdpose14", Tiny(), **{"size": SIZE, **LIGHT, **options}))


def plain_head(**options):
    torch.manual_seed(0)
    shared = {k: LIGHT[k] for k in ("channels", "strl", "offsets")}
    return loud(Plain("crowdpose14", Tiny(), **{"size": SIZE, **shared, **options}))


def diffusion(head, steps=4, K=1, **options):
    return DiffusionModel(
        head, Process(cosine(1000), clip=1.0), DDIMSampler(steps), hypotheses=K, **options
    )


def clips(n=3, size=SIZE, frames=3, seed=0):
    """Keypoints inside the crop, noise for frames, and a crop that is not the picture."""
    g = torch.Generator().manual_seed(seed)
    inside = 0.15 + 0.7 * torch.rand(n, J, 2, generator=g)
    return {
        "id": [f"v/{i}/0" for i in range(n)],
        "frames": torch.randn(n, frames, 3, size[1], size[0], generator=g),
        "frames_valid": torch.ones(n, frames),
        "track_id": torch.zeros(n, dtype=torch.long),
        "keypoints": inside * (torch.tensor(size) - 1),
        "visible": torch.ones(n, J),
        "affine": torch.tensor([[0.5, 0.0, 3.0], [0.0, 0.5, -7.0]]).repeat(n, 1, 1),
    }


class Oracle(nn.Module):
    """In the place of the decoder: the heatmaps of the truth, for all hypotheses."""

    def __init__(self, head, sample):
        super().__init__()
        self.maps, self.rows = head.codec.encode(sample["keypoints"], sample["visible"])[0], []
        self.prepare = head.decoder.prepare

    def forward(self, x_t, t, context):
        self.rows.append(len(x_t))
        return self.maps.repeat_interleave(len(x_t) // len(self.maps), 0)


# --- the shared process


def test_the_schedule_has_the_published_values():
    for schedule, values in (
        (cosine(1000), (0.9999587, 0.8470122, 0.4938436, 0.1442721, 2.43e-9)),
        (linear(1000), (0.9999, 0.5240854, 0.0785872, 0.0033505, 4.04e-5)),
    ):
        for t, alpha_bar in zip((0, 249, 499, 749, 999), values, strict=True):
            assert float(schedule.alpha[t] ** 2) == pytest.approx(alpha_bar, rel=2e-3, abs=5e-8)


@pytest.mark.parametrize(
    ("steps", "grid"),
    [
        (1, [999, -1]),
        (4, [999, 749, 499, 249, -1]),
        (8, [999, 874, 749, 624, 499, 374, 249, 124, -1]),
    ],
)
def test_steps_end_at_the_clean_end_and_begin_at_the_last(steps, grid):
    assert DDIMSampler(steps).grid(1000) == grid


@pytest.mark.parametrize("range", ["symmetric", "unit01"])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_an_oracle_is_believed_whatever_the_number_of_steps(steps, range):
    head, sample = video2d(range=range, codec="udp"), clips()
    head.decoder = oracle = Oracle(head, sample)
    drawn = diffusion(head, steps, K=2).sample(sample)
    assert torch.equal(drawn.estimates, head.target(sample)[:, None].expand(3, 2, -1, -1, -1))
    poses = mean(drawn)
    exact = transform(sample["keypoints"], invert(sample["affine"]))
    assert (poses.keypoints - exact).abs().max() < 2 * 0.4  # a crop pixel is 2 of the picture
    assert torch.allclose(poses.scores, oracle.maps.flatten(2).amax(-1), atol=1e-5)
    assert oracle.rows == [6] * steps


def test_the_clip_is_read_once_for_all_steps_and_hypotheses():
    head, sample, strl = video2d(), clips(), []
    head.clip.strl.register_forward_hook(lambda *_: strl.append(1))
    diffusion(head, steps=4, K=3).predict(sample)
    assert head.clip.backbone.calls == [9]
    assert strl == [1]


def test_one_model_serves_every_number_of_steps_and_sets():
    model, sample = diffusion(video2d()), clips()
    for steps in (1, 2, 4, 8):
        four, again = (model.sample(sample, 4, steps).estimates for _ in range(2))
        assert four.isfinite().all()
        assert torch.equal(four, again)
        two = model.sample(sample, 2, steps).estimates
        assert torch.allclose(four[:, :2], two, atol=1e-5)
        assert (four[:, 0] - four[:, 1]).abs().max() > 1e-4  # sets do not share their noise
        alone = {k: x[1:2] for k, x in sample.items()}
        assert torch.allclose(model.sample(alone, 4, steps).estimates[0], four[1], atol=1e-5)


def test_an_answer_may_be_the_mean_of_all_steps():
    head, sample = video2d(), clips()
    last = [h.estimates for h in diffusion(head, 4).answers(sample, 2)]
    mean_of = [h.estimates for h in diffusion(head, 4, every_step=True).answers(sample, 2)]
    assert torch.allclose(mean_of[-1], torch.stack(last).mean(0), atol=1e-6)
    assert torch.equal(mean_of[0], last[0])
    assert not torch.allclose(mean_of[-1], last[-1], atol=1e-4)


# --- states


@pytest.mark.parametrize(
    ("range", "scale", "ends"),
    [("symmetric", 1.0, (-1, 1)), ("symmetric", 2.0, (-2, 2)), ("unit01", 1.0, (0, 1))],
)
def test_states_are_heatmaps_in_another_range(range, scale, ends):
    head, sample = video2d(range=range, scale=scale), clips()
    x = head.target(sample)
    assert (float(x.min()), float(x.max())) == pytest.approx(ends, abs=1e-6)
    maps, _ = head.codec.encode(sample["keypoints"], sample["visible"])
    assert torch.allclose(head.heatmaps(x), maps, atol=1e-6)
    assert head.decode(x[:, None], sample).scores.max() == pytest.approx(1, abs=1e-6)


def test_the_loss_is_the_squared_error_of_heatmaps_whatever_the_range():
    sample, errors = clips(), []
    for options in ({"range": "unit01"}, {"scale": 2.0}):
        head = video2d(**options)
        context, goal, t = head.encode(sample), head.target(sample), torch.tensor([3, 500, 990])
        x_t = torch.randn(goal.shape, generator=torch.Generator().manual_seed(0))
        value = head.denoise(x_t, t, context).value
        gap = head.heatmaps(value) - head.heatmaps(goal)
        loss = head.loss(x_t, t, goal, context, sample)
        assert torch.allclose(loss, gap.square().mean((-3, -2, -1)), rtol=1e-4)
        errors.append(loss)
    assert torch.allclose(*errors)


@pytest.mark.parametrize("make", ["full", "plain"])
def test_joints_without_a_label_get_no_gradient_unless_asked(make):
    for mask, silent in (("visible", True), ("none", False)):
        head = video2d(mask=mask) if make == "full" else plain_head(mask=mask)
        sample = clips()
        sample["visible"][:, 4] = 0
        model = diffusion(head) if make == "full" else Regression(head)
        model.loss(sample).backward()
        out = head.decoder.out if make == "full" else head.out
        assert bool((out.weight.grad[4] == 0).all()) is silent
        assert (out.weight.grad[[3, 5]] != 0).flatten(1).any(1).all()


# --- the decoder


def test_parts_of_a_convolution_are_the_convolution_of_the_concatenation():
    torch.manual_seed(0)
    scale = Interaction(32, 16, 16, "lookup", attends=False, refine=1, fuse=1)
    x, Z = torch.randn(2, 16, 8, 6), torch.randn(2, 32, 8, 6)
    weight = torch.cat([scale.fuse_x.weight, scale.fuse_z.weight], 1)
    L = scale.mask(x) * Z
    whole = nn.functional.conv2d(torch.cat([L, Z], 1), weight, scale.fuse_z.bias, padding=1)
    assert torch.allclose(scale(x, Z, scale.fuse_z(Z)), whole, atol=1e-5)


@pytest.mark.parametrize("mode", ["lookup", "direct", "none"])
def test_the_noisy_heatmap_is_seen_through_the_mask_alone(mode, monkeypatch):
    head, sample = video2d(lookup={"width": 16, "mode": mode}), clips()
    context, t = head.encode(sample), torch.full((3,), 700)
    x, y = torch.randn(2, 3, J, *head.codec.shape)

    def apart():
        return (head.denoise(x, t, context).value - head.denoise(y, t, context).value).abs().max()

    assert (apart() > 1e-3) == (mode != "none")
    monkeypatch.setattr(Interaction, "mask", lambda self, x: torch.full_like(x[:, :1], 0.5))
    assert (apart() > 1e-3) == (mode == "direct")


@pytest.mark.parametrize("t", [10, 500, 990])
def test_masks_are_not_saturated_at_the_beginning(t):
    torch.manual_seed(0)
    decoder = PoseDecoder(J)
    for x in (torch.randn(4, J, 64, 48), torch.full((1, J, 64, 48), -1.0)):
        for j, state in decoder.states(x, torch.full((len(x),), t)).items():
            A = decoder.interact[str(j)].mask(state)
            assert A.shape == (len(x), 1, 16 * 2 ** (j - 1), 12 * 2 ** (j - 1))
            assert 0.5 < A.mean() < 0.9
            assert A.max() < 0.99


@pytest.mark.parametrize("scales", [[1], [1, 2], [3], [3, 1]])
def test_any_scales_can_take_part(scales):
    head, sample = video2d(scales=scales), clips()
    poses = diffusion(head, 2).predict(sample)
    assert poses.keypoints.shape == (3, J, 2)
    assert len(head.encode(sample)) == 2 * len(scales)
    assert {*map(int, head.decoder.interact)} == {*scales}


def test_time_scales_the_state_and_shifts_it_if_so_told():
    for shift in (True, False):
        decoder = video2d(time={"shift": shift}).decoder
        zero = torch.zeros(1, J, 16, 12)
        nn.init.zeros_(decoder.enter.bias)  # so that e is 0
        moved = decoder.states(zero, torch.tensor([500]))[3].abs().max()
        assert (moved > 1e-3) == shift
        x, near, far = torch.randn_like(zero), torch.tensor([5]), torch.tensor([900])
        assert not torch.allclose(decoder.states(x, near)[3], decoder.states(x, far)[3])


def test_depths_of_refining_and_fusing_are_free():
    def count(**lookup):
        decoder = video2d(lookup={"width": 16, **lookup}).decoder
        return sum(p.numel() for p in decoder.parameters())

    assert count(refine=0) < count() < count(refine=2)
    assert count(fuse=1) < count() < count(fuse=3)


# --- the clip


def test_the_order_of_the_neighbours_matters_and_that_of_samples_does_not():
    head, sample = video2d(), clips()
    Z = head.clip(sample["frames"])
    assert [z.shape for z in Z] == [(3, 32, 4, 3), (3, 32, 8, 6), (3, 32, 16, 12)]
    swapped = head.clip(sample["frames"].flip(1))
    assert not torch.allclose(Z[0], swapped[0], atol=1e-4)
    assert torch.allclose(head.clip(sample["frames"].flip(0))[0].flip(0), Z[0], atol=1e-5)


def test_the_mean_of_frames_without_layers_knows_no_order():
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
    features = ClipFeatures(backbone, (32, 32), THREE, channels=32, strl={"depth": 1}, scales=1)
    assert (backbone.channels, backbone.stride) == (384, 16)
    assert not [name for name in backbone.state_dict() if name.startswith(backbone.optional)]
    assert features(torch.randn(1, 3, 3, 32, 32))[0].shape == (1, 32, 2, 2)
    with pytest.raises(ValueError, match=r"offsets"):
        features(torch.randn(1, 2, 3, 32, 32))


def test_a_backbone_s_layers_learn_the_slower_the_deeper_they_lie():
    recipe = SimpleNamespace(optimizer=SimpleNamespace(lr=1.0), layer_decay=0.5)
    features = ClipFeatures(ViT("small", (32, 32)), (32, 32), THREE, channels=32)
    found = groups(SimpleNamespace(trainer=recipe), features)
    rate = {id(p): group["lr"] for group in found for p in group["params"]}
    backbone = features.backbone
    assert rate[id(backbone.pos_embed)] == 0.5**13
    assert rate[id(backbone.blocks[0].norm1.weight)] == 0.5**12
    assert rate[id(backbone.blocks[11].norm1.weight)] == 0.5
    assert rate[id(backbone.last_norm.weight)] == rate[id(features.strl.position)] == 1
    assert len(rate) == len(list(features.parameters()))


def test_interpolation_can_take_the_place_of_deconvolutions():
    Z = video2d(up="bilinear").clip(clips()["frames"])
    assert Z[2].shape == (3, 32, 16, 12)


def test_weights_of_the_clip_serve_every_decoder_and_the_baseline():
    def names(head):
        return {k: x.shape for k, x in head.clip.state_dict().items()}

    plain = plain_head()
    for options in ({}, {"lookup": {"width": 32}}, {"scales": [1]}):
        assert names(video2d(**options)) == names(plain)


# --- mirrors


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


def test_under_the_flip_test_a_mirrored_clip_gives_the_mirrored_pose():
    head, sample = video2d(codec="udp"), clips()
    model = diffusion(FlipTest(head), 3)
    start = torch.randn(3, J, *head.codec.shape, generator=torch.Generator().manual_seed(1))
    seen = []
    for s, x in ((sample, start), (head.mirror_sample(sample), head.mirror(start))):
        with torch.no_grad():
            context = model.head.encode(s)
            seen.append(model.head.denoise(x, torch.full((3,), 500), context).value)
    assert torch.allclose(head.mirror(seen[1]), seen[0], atol=1e-5)
    plain = plain_head(codec="udp")
    a, b = (BothViews(plain)(s) for s in (sample, plain.mirror_sample(sample)))
    assert torch.allclose(plain.mirror(b), a, atol=1e-5)
    assert not torch.allclose(plain.mirror(plain(plain.mirror_sample(sample))), plain(sample))


# --- cost


@pytest.mark.parametrize(("width", "bar"), [(64, 1.2), (128, 2.1)])
def test_a_step_costs_little_and_reads_the_clip_no_more(width, bar):
    decoder = PoseDecoder(15, width=width)
    Z = [torch.zeros(1, 256, 16 * n, 12 * n) for n in (1, 2, 4)]
    with torch.no_grad():
        context = decoder.prepare(Z)
        with FlopCounterMode(display=False) as counter:
            decoder(torch.zeros(1, 15, 64, 48), torch.tensor([999]), context)
    assert 0.8 * bar < counter.get_total_flops() / 2e9 <= bar


# --- learning


def figures(n, frames, seed):
    """A bar of two joints that moves evenly; what stands in the middle frame hides the second."""
    g = torch.Generator().manual_seed(seed)
    W, H = SIZE
    at = torch.rand(n, 1, 2, generator=g) * 16 + torch.tensor([8.0, 16.0])
    reach = torch.rand(n, 1, 2, generator=g) * 20 - 4 + torch.tensor([4.0, 4.0])
    step = torch.rand(n, 1, 2, generator=g) * 6 - 3
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    pixels = torch.stack([x, y], -1).float()
    shown = []
    for f in frames:
        film = torch.zeros(n, 3, H, W)
        for c, point in enumerate((at, at + reach + f * step)):
            near = (pixels - point[:, :, None]).square().sum(-1)
            film[:, c] = torch.exp(-near / 8) * (c == 0 or f != 0)
        shown.append(film)
    keypoints = torch.zeros(n, J, 2)
    keypoints[:, :1], keypoints[:, 1:2] = at, at + reach
    visible = torch.zeros(n, J)
    visible[:, :2] = 1
    affine = torch.eye(3)[:2].repeat(n, 1, 1)
    ids = [str(i) for i in range(n)]
    return {
        "id": ids,
        "frames": torch.stack(shown, 1),
        "keypoints": keypoints,
        "visible": visible,
        "affine": affine,
    }


def learned(offsets, steps):
    torch.manual_seed(0)
    head = Video2D("crowdpose14", Tiny(), "udp", SIZE, **{**LIGHT, "offsets": offsets})
    model = diffusion(head).train()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for i in range(steps):
        torch.manual_seed(i)
        loss = model.loss(figures(16, offsets, i))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i == steps * 2 // 3:
            optimizer.param_groups[0]["lr"] = 5e-4
    return model.eval()


@pytest.mark.slow
def test_neighbours_tell_where_a_hidden_joint_is():
    hidden = {}
    for offsets in ((0,), THREE):
        model, sample = learned(offsets, 500), figures(64, offsets, 10_000)
        for S in (1, 2, 4):
            for K in (1, 4):
                h = model.sample(sample, K, S)
                apart = (mean(h).keypoints - sample["keypoints"]).norm(dim=-1)
                hidden[len(offsets), S, K] = float(apart[:, 1].median())
    print(hidden)
    for S in (1, 2, 4):
        for K in (1, 4):
            assert hidden[3, S, K] < 0.6 * hidden[1, S, K]


def test_options_that_cannot_be_are_refused_in_one_line():
    for options, word in (
        ({"range": "zero"}, "head.range"),
        ({"mask": "all"}, "loss.mask"),
        ({"merge": "sum"}, "head.merge"),
        ({"up": "nearest"}, "head.up"),
        ({"scales": [4]}, "head.scales"),
        ({"lookup": {"mode": "both"}}, "lookup.mode"),
        ({"lookup": {"width": 12}}, "lookup.width"),
        ({"lookup": {"fuse": 0}}, "lookup.fuse"),
        ({"channels": 30}, "head.channels"),
        ({"size": (52, 64)}, "multiples of"),
    ):
        with pytest.raises(ValueError, match=word):
            video2d(**options)
    model = diffusion(video2d())
    model.sampler = replace(model.sampler, start=300)
    with pytest.raises(ValueError, match=r"sampler\.start"):
        model.predict(clips())

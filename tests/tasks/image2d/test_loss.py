"""Training of image2d: the losses, joints without a label, and its coarse head alone."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from helpers.image2d import (
    BONES,
    SIZE,
    Constant,
    J,
    Tiny,
    diffusion,
    image2d,
    people,
    truth,
    untrained,
)

from posediff.diffusion import (
    BothViews,
    FlipTest,
    Regression,
)
from posediff.pose.affine import invert, transform
from posediff.pose.combined import Combined
from posediff.pose.heatmap import Codec
from posediff.tasks.image2d import Coarse, Masks
from posediff.tasks.image2d.missing import PoseGaussian


def test_the_loss_is_that_of_the_decoder_and_of_the_coarse_head():
    head, sample = image2d(), people()
    target, noisy = truth(head, sample), torch.randn(3, J, 32, 24)
    context = {**head.encode(sample), "coarse": target + 0.1 * noisy}
    head.sgdd = Constant(target)
    x, t = head.target(sample), torch.tensor([5, 6, 7])
    loss = head.loss(x, t, x, context, sample)
    expected = (0.1 * noisy).square().mean((1, 2, 3))
    assert torch.allclose(loss, expected, atol=1e-6)
    head.sgdd = Constant(target + 0.2 * noisy)
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


def test_a_joint_without_a_label_is_drawn_and_masked_as_chosen():
    sample, seen = people(200), {}
    sample["visible"][:, 4] = 0
    for missing in ("noise", "drop", "mle"):
        head = image2d(missing=missing, kind="none")
        maps = truth(head, sample)
        head.sgdd, head.masks = Constant(maps), Mock(wraps=head.masks)
        x, t = head.target(sample), torch.full((200,), 5)
        context = {"coarse": maps, "features": torch.ones(200, 1, 1, 1), "stem": None}
        torch.manual_seed(0)
        head.loss(x, t, x, context, sample)
        seen[missing] = (head.sgdd.calls[0][0], *head.masks.call_args.args)
    maps, points, *_, present = seen["noise"]
    x = head.space.state(head.space.codec.from_map(points))[:, 4]  # N(0, 1), drawn within 2
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
    small = "coco17", Tiny(), Codec("udp", (48, 64))
    hrnet = Coarse(*small, joint_weight="squared", half=True)
    loss = hrnet.error(pred, target, weight[..., 0]).mean()
    assert float(loss.detach()) == pytest.approx(float(stored["mse_weighted"]), abs=1e-6)
    loss.backward()
    assert np.abs(pred.grad.numpy() - stored["grad_mse_weighted"]).max() < 1e-6
    ones = hrnet.error(pred, target, torch.ones(3, 17)).mean()
    assert float(ones.detach()) == pytest.approx(float(stored["mse_unweighted"]), abs=1e-6)
    hard = Coarse(*small, joint_weight="squared", half=True, ohkm=8)
    eight = hard.error(pred, target, weight[..., 0]).mean()
    assert float(eight.detach()) == pytest.approx(float(stored["ohkm8_weighted"]), abs=1e-6)
    linear = Coarse(*small)
    each = linear.error(pred, target, weight[..., 0].sqrt()).square().mean()
    assert each > 0
    assert torch.allclose(
        linear.error(pred, target, weight[..., 0].square()) / 2,
        hrnet.error(pred, target, weight[..., 0]),
    )


def test_bad_choices_are_one_line_that_says_what_may_be_chosen():
    for options, key, word in (
        ({"kind": "all"}, "head.guide.kind", "both"),
        ({"condition": ["bones"]}, "head.guide.condition", "ske"),
        ({"channel": "spatial"}, "head.guide.channel", "davit"),
        ({"heads": 5}, "head.guide.heads", "divide 32"),
        ({"form": "wide"}, "head.masks.form", "soft"),
        ({"ske": 0.0}, "head.masks.kps and ske", "above 0"),
        ({"normalise": "centres"}, "head.space.normalise", "edges"),
        ({"draw": "twice"}, "head.space.draw", "rounded"),
        ({"readout": "mean"}, "head.space.readout", "global"),
        ({"init": "x_t"}, "inference.init", "coarse"),
        ({"steps": 3}, "inference.steps", "no option"),
        ({"missing": "zero"}, "head.missing", "mle"),
        ({"channels": 12}, "head.decoder.channels", "multiple of 8"),
        ({"time": "t"}, "head.decoder.time", "film"),
        ({"stride": 3}, "codec.stride", "1, 2, 4 or 8"),
        ({"joint_weight": "cubic"}, "coarse.joint_weight", "squared"),
        ({"ohkm": 15}, "coarse.ohkm", "1 to 14 joints"),
    ):
        with pytest.raises(ValueError, match=rf"^task\.{key} .*{word}"):
            image2d(**options)
    with pytest.raises(ValueError, match="96 x 128"):
        image2d().encode(people(size=(48, 64)))


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


def test_a_coarse_head_learns_combined_maps_and_a_diffusion_cannot():
    torch.manual_seed(0)
    head = Coarse("crowdpose14", Tiny(), Combined(SIZE))
    sample, model = people(), Regression(head)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(model.loss(sample))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.75 * losses[0]
    maps, _ = head.codec.encode(sample["keypoints"], sample["visible"])
    points = transform(sample["keypoints"], invert(sample["affine"]))
    assert torch.allclose(head.decode(maps[:, None], sample).keypoints[:, 0], points, atol=1e-2)
    assert model.predict(sample).spread.shape == (3, J)
    assert Regression(BothViews(head)).predict(sample).keypoints.shape == (3, J, 2)
    with pytest.raises(ValueError, match="experiment=image2d_coarse"):
        image2d(codec="udp_combined")


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
        line = Masks(Codec("udp", SIZE, 1, sigma=2.0))(keypoints, [bone]).ske
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
    head = untrained(channels=16, blocks=1, multipliers=(1, 2))
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

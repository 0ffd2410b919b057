"""A mean, a deviation and the distribution around them, learnt together.

    mu, log s, features = trunk(u, v, log of their deviation, score)     per joint; s per axis
    loc   = [u, v of the 2D; mu],   scale = [its deviation; s]           (J, 5)
    w     = (x_t - loc) / scale                                          the whitened state
    x_0   = loc + scale (alpha[t] w + alpha[t] sigma[t] F(w, t, features))
    prior = N([a drawn component of the 2D; mu], [its scale; s])

alpha w is the answer if x_0 is distributed as N(loc, scale^2), and F corrects it. At the first
timestep alpha is 0 and x_0 is mu: one step is the deterministic lifter, by construction. The losses
are added. That of F does not train the trunk; that of s trains it, but in `WindowTrunk` its last
norm and layer alone:

    |mu - x_0|                                   the mean, as an encoder's
    s* (log s + (x_0 - mu*)^2 / (2 s^2))         the deviation: beta-NLL, beta 1/2
    |x_0 - its estimate|^2                       F, in units of the state
                                                 (* is without gradient)

The even part of F moves the mean of draws away from mu, mostly by what it learnt of the training
people by heart. At inference it is left out (`centred`), so that opposite draws have the mean mu.

A joint of score 0 is missing: the trunk reads no position, and its 2D is N(0, MISSING_SCALE^2) on
the screen. In training joints are dropped at random, so that this is learnt.

The deviations of training people are too small for others, and the sampler may shrink them.
`calibrate` scales s by axis and by the score of the joint, such that draws for people held out have
the quantiles of their errors. Draws that are all the same, as those of one step, change nothing.

Ours. beta-NLL is that of Seitzer et al. 2022 (arXiv 2203.09168, eq. 7); a supervised mean inside a
diffusion is DiffHPE's idea (Rommel et al. 2023); weighting w and F by the noise is EDM's (Karras et
al. 2022).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from posediff.diffusion import (
    Decoded,
    Noise,
    NoiseSchedule,
    Output,
    Prior,
    TaskHead,
    Window,
    draw_component,
)
from posediff.diffusion.head import Context, Sample
from posediff.nn.mixste import MixSTE
from posediff.pose.camera import normalise
from posediff.pose.mirror import mirror_sample
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.lift3d import units
from posediff.tasks.lift3d.network import ContextDenoiser, GraFormer, framewise

MISSING_SCALE = 0.5  # screen units: a missing joint may be anywhere
TYPICAL, SMALLEST, LARGEST = 0.05, 1e-3, 1.0  # metres, s of a new network and its bounds
FARTHEST = 8.0  # deviations that F is shown
SCORES = (0.01, 0.5, 0.8)  # bounds of the bins of scores: missing, occluded, seen, seen well
FEWEST = 200  # joints of a bin that has its own factor
DROPPED = 0.2  # of the joints of a sample that loses some; most samples must stay whole
QUANTILES = {0.25: 0.3186, 0.5: 0.6745, 0.75: 1.1503, 0.9: 1.6449}  # of |N(0, 1)|
INPUTS, OUTPUTS = 4, 6  # channels: u, v, log deviation, score -> mu, log s


def quantile_ratio(x: Tensor) -> Tensor:
    """The factors c (D,) that bring the quantiles of c |N(0, 1)| nearest to those of |x| (N, D)."""
    normal = x.new_tensor(list(QUANTILES.values()))
    found = x.quantile(x.new_tensor(list(QUANTILES)), dim=0)
    return (normal @ found) / normal.square().sum()


class Trunk(nn.Module):
    """A network (..., J, 4) -> (..., J, 6) and features, with what a head has to know of it."""

    def __init__(self, skeleton: str, network: nn.Module, width: int, window: int = 1) -> None:
        super().__init__()
        self.skeleton, self.network = skeleton, network
        self.width, self.window = width, window

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y: tuple[Tensor, Tensor] = self.network(x)
        return y


class FrameTrunk(Trunk):
    """GraFormer on single frames: width of its features, depth in blocks."""

    def __init__(
        self, skeleton: str, width: int = 96, depth: int = 5, dropout: float = 0.1
    ) -> None:
        body = GraFormer(named(skeleton).adjacency(), INPUTS, OUTPUTS, width, depth, dropout)
        super().__init__(skeleton, body, width)


class WindowTrunk(Trunk):
    """MixSTE on a window of frames; dropout: of the paths of its last block (`drop_path`).

    log s is learnt by the last norm and layer alone: with its gradient in the blocks, too, they
    learn the mean of windows much later (benchmarks/README.md).
    """

    network: MixSTE

    def __init__(
        self,
        skeleton: str,
        window: int,
        width: int = 128,
        depth: int = 4,
        dropout: float = 0.1,
        heads: int = 8,
    ) -> None:
        joints = len(named(skeleton).joints)
        body = MixSTE(
            *(joints, window, width, depth, heads),
            channels_in=INPUTS,
            drop_path=dropout,
            channels_out=OUTPUTS,
        )
        super().__init__(skeleton, body, width, window)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        answer, features = super().forward(x)
        if torch.is_grad_enabled():
            deviation = self.network.head(features.detach())[..., 3:]
            answer = torch.cat([answer[..., :3], deviation], -1)
        return answer, features


class Posterior(TaskHead):
    """trunk        mean, deviation and features
    schedule     that of the process: F is scaled by its alpha and sigma
    width, depth, dropout   of the denoiser F
    temporal     F attends across all frames of the window
    joint_dropout   share of the training samples that lose joints, each with probability DROPPED
    """

    factors: Tensor

    def __init__(
        self,
        trunk: Trunk,
        schedule: NoiseSchedule,
        width: int = 96,
        depth: int = 2,
        dropout: float = 0.1,
        temporal: bool = False,
        joint_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if temporal and trunk.window == 1:
            raise ValueError("single frames: set task.head.temporal=false")
        if not 0 <= joint_dropout < 1:
            raise ValueError(f"task.head.joint_dropout must be in 0..1, got {joint_dropout}")
        self.trunk, self.schedule, self.joint_dropout = trunk, schedule, joint_dropout
        self.window, self.skeleton, self.bones = (
            Window(trunk.window),
            trunk.skeleton,
            named(trunk.skeleton),
        )
        self.denoiser = ContextDenoiser(
            self.bones.adjacency(),
            width=width,
            depth=depth,
            context_width=trunk.width,
            dropout=dropout,
            window=trunk.window if temporal else None,
        )
        self.register_buffer("factors", torch.ones(len(SCORES) + 1, 3))
        self.set_inference()

    def set_inference(self, centred: bool = True, **options: Any) -> None:
        """centred: only the odd part of F is used, (F(w) - F(-w)) / 2, at twice its cost."""
        super().set_inference(**options)
        self.centred = centred

    def encode(self, sample: Sample) -> Context:
        scores = self.seen(sample["scores"])
        missing = (scores == 0)[..., None]
        uv = units.screen(sample)
        if uv.shape[-2] != len(self.bones.joints):
            wanted = len(self.bones.joints)
            raise ValueError(f"a network of {wanted} joints was given {uv.shape[-2]}")
        uv = uv.masked_fill(missing, 0)
        deviation = units.screen_scale(sample["keypoints_2d_scale"], sample)
        deviation = deviation.masked_fill(missing, MISSING_SCALE)
        # log10 of pixels at a width of 1000
        size = (500 * deviation).mean(-1, keepdim=True).log10()
        answer, features = self.trunk(torch.cat([uv, size, scores[..., None]], -1))
        mu = self.bones.rooted(answer[..., :3])
        s = (TYPICAL * answer[..., 3:].exp()).clamp(SMALLEST, LARGEST)
        J, C = features.shape[-2:]
        # detached: the trunk learns the mean and its deviation, undisturbed by F
        projected = self.denoiser.project(features.detach().reshape(-1, J, C))
        mixture = sample["mixture"]
        loc = normalise(mixture["loc"].flatten(-3, -2), sample["image_size"])
        scale = units.screen_scale(mixture["scale"], sample)
        return {
            "uv": uv,
            "deviation": deviation,
            "mu": mu,
            "s": s * self.factor(scores),
            "features": projected.view(*features.shape[:-1], -1),
            "weights": mixture["weights"],
            "loc": loc.view_as(mixture["loc"]).masked_fill(missing[..., None], 0),
            "scale": scale.masked_fill(missing[..., None], MISSING_SCALE),
        }

    def seen(self, scores: Tensor) -> Tensor:
        """Scores, in training 0 for joints dropped at random, in all frames of a window."""
        if not self.training or self.joint_dropout == 0:
            return scores
        each = (len(scores), *[1] * (scores.ndim - 2), scores.shape[-1])
        some = torch.rand(*each[:-1], 1, device=scores.device) < self.joint_dropout
        return scores * ~(some & (torch.rand(each, device=scores.device) < DROPPED))

    def factor(self, scores: Tensor) -> Tensor:
        """Factors of the deviations, (..., J, 3)."""
        return self.factors[self.bins(scores)]

    def bins(self, scores: Tensor) -> Tensor:
        return torch.bucketize(scores, scores.new_tensor(SCORES), right=True)

    def prior(self, context: Context, noise: Noise) -> Prior:
        drawn = draw_component(context["weights"], context["loc"], context["scale"], noise)
        loc = torch.cat([drawn.loc, context["mu"].detach()], -1)
        return Prior(loc, torch.cat([drawn.scale, context["s"].detach()], -1))

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        loc = torch.cat([context["uv"], context["mu"].detach()], -1)
        scale = torch.cat([context["deviation"], context["s"].detach()], -1)
        w = (x_t - loc) / scale
        alpha, sigma = self.schedule.at(t, x_t)
        change = self.correction(w.clamp(-FARTHEST, FARTHEST), t, context["features"])
        return Output(loc + scale * (alpha * w + alpha * sigma * change))

    def correction(self, w: Tensor, t: Tensor, features: Tensor) -> Tensor:
        """F, in training as it is."""
        found = framewise(self.denoiser, w, t, features)
        if self.training or not self.centred:
            return found
        return (found - framewise(self.denoiser, -w, t, features)) / 2

    def target(self, sample: Sample) -> Tensor:
        return units.clean_state(sample, "target_2d", self.bones)

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """The sum of the three losses, means over joints, in metres and square units of the state.
        Joints without 2D have no part in the loss of u and v."""
        truth, mu, s = goal[..., 2:], context["mu"], context["s"]
        mean = (mu - truth).norm(dim=-1)
        nll = s.log() + (truth - mu.detach()).square() / (2 * s.square())
        error = (self.denoise(x_t, t, context).value - goal).square()
        correction = error[..., :2].sum(-1) * sample["visible"] + error[..., 2:].sum(-1)
        total: Tensor = mean + (s.detach() * nll).sum(-1) + correction
        return units.of_samples(total.mean(-1), sample)

    @torch.no_grad()
    def calibrate(self, drawn: Iterable[tuple[Tensor, Sample]]) -> None:
        ratios, bins = [], []
        others = [j for j in range(len(self.bones.joints)) if j != self.bones.root]
        for estimates, sample in drawn:
            poses = self.bones.rooted(estimates[..., 2:])
            mean = poses.mean(1)
            deviation = (poses - mean[:, None]).square().mean(1).sqrt()
            error = (self.bones.rooted(sample["keypoints"]) - mean).abs()
            deviation = deviation.where(deviation > SMALLEST / 10, torch.nan)
            ratios.append((error / deviation)[:, others].flatten(0, 1))
            bins.append(self.bins(sample["scores"])[:, others].flatten())
        ratio, score = torch.cat(ratios), torch.cat(bins)
        told = ratio.isfinite().all(-1)
        ratio, score = ratio[told], score[told]
        if not len(ratio):
            return
        for k, factors in enumerate(self.factors):
            own = ratio[score == k]
            factors *= quantile_ratio(own if len(own) >= FEWEST else ratio)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return units.decode(estimates[..., 2:], sample, self.bones)

    def single_frames(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return units.by_frame(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return units.mirror_state(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return mirror_sample(sample, self.bones)

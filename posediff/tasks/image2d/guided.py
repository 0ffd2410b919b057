"""image2d: structure-guided diffusion for 2D pose in one image (Qiu et al., arXiv 2306.17074).

    x_0 = zeta (2 u - 1)                     keypoints on the map, each axis over [0, 1]    (J, 2)
    x_t = alpha[t] x_0 + sigma[t] eps,       eps ~ N(0, 1)
    h_t = heatmaps drawn at x_t,             M_t = masks of its joints and bones
    x_c = (x_kps + A(x_kps, x_ske, x_ske), x_fea)       x_kps = x_fea M_kps, x_ske = x_fea M_ske
    SGDD(h_t, x_c, t) = h_0                  the clean heatmaps; x_0 is read from them
    L   = |SGDD(h_t, x_c, t) - h_0|^2 + |coarse(x_fea) - h_0|^2

Coordinates are diffused, never pixels of a heatmap. Inference starts from the coarse heatmap at a
low timestep, or from pure noise. No code of the paper is public and much of it is unknown; what is
ours is a key of conf/preset/sgdd.yaml.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from posediff.diffusion import Decoded, FlipTest, Noise, Output, Prior, RegressionHead, TaskHead
from posediff.diffusion.choices import one_of
from posediff.diffusion.head import Context, Sample
from posediff.nn.backbone import Backbone
from posediff.tasks.image2d.attention import Guide
from posediff.tasks.image2d.coarse import Coarse
from posediff.tasks.image2d.missing import PoseGaussian
from posediff.tasks.image2d.sgdd import SGDD
from posediff.tasks.image2d.structure import Disagreement, Masks, Space


class Image2D(TaskHead):
    """coarse          owns the backbone, the codec and the loss of a heatmap
    space           crop pixels <-> states <-> heatmaps
    masks, guide    of joints and bones, and what the decoder reads of the features under them
    decoder         SGDD
    missing         how joints without a label are trained, see the module of that name
    detach_coarse   no gradient of what follows reaches the coarse head through the start
    """

    def __init__(
        self,
        coarse: Coarse,
        space: Space,
        masks: Masks,
        guide: Guide,
        decoder: SGDD,
        missing: Literal["noise", "drop", "mle"] = "noise",
        detach_coarse: bool = True,
    ) -> None:
        super().__init__()
        one_of("task.head.missing", missing, ("noise", "drop", "mle"))
        self.skeleton, self.bones, self.coarse = coarse.skeleton, coarse.bones, coarse
        if coarse.out.out_channels != len(self.bones.joints):
            raise ValueError(
                "the decoder has one heatmap a joint: dataset.codec=udp_combined is for "
                "experiment=image2d_coarse"
            )
        self.space, self.masks, self.guide, self.sgdd = space, masks, guide, decoder
        self.poses = PoseGaussian(len(self.bones.joints)) if missing == "mle" else None
        self.missing, self.detach_coarse = missing, detach_coarse
        self.set_inference()

    def set_inference(self, init: str = "coarse", refresh: bool = True, **options: Any) -> None:
        """init: where inference starts: at the coarse pose, at that plus noise, or at noise alone.
        refresh: draw the masks at every step; else once, around the coarse pose.
        """
        one_of("task.inference.init", init, ("coarse", "coarse+noise", "noise"))
        self.init, self.refresh = init, refresh
        super().set_inference(**options)

    @property
    def pretrained(self) -> Backbone:
        return self.coarse.backbone

    def baselines(self) -> dict[str, RegressionHead]:
        return {"coarse": self.coarse}

    def stages(self, context: Context) -> dict[str, Tensor]:
        return {"coarse": context["coarse"]}

    def mirrored(self) -> FlipTest:
        return FlipTest(self, Disagreement(self.space))

    def encode(self, sample: Sample) -> Context:
        x_fea = self.coarse.features(sample)
        context = {"coarse": self.coarse.out(x_fea), "stem": self.sgdd.stem_features(x_fea)}
        projected = self.guide.project(x_fea)
        if not projected or self.refresh or self.training:
            return {**context, **projected}
        points = self.space.drawn(self.start(context))
        return {**context, "guide": self._guide(points, projected)}

    def start(self, context: Context) -> Tensor:
        """The coarse pose as a state, (B, J, 2); under `FlipTest` in the mean of both views."""
        views = [context, context["mirrored"]] if "mirrored" in context else [context]
        maps = [v["coarse"].detach() if self.detach_coarse else v["coarse"] for v in views]
        x, *mirrored = map(self.space.read, maps)
        return (x + self.mirror(mirrored[0])) / 2 if mirrored else x

    def prior(self, context: Context, noise: Noise) -> Prior:
        x = self.start(context)
        loc, scale = torch.zeros_like(x), torch.ones_like(x)
        if self.init == "noise":
            return Prior(loc, scale)
        return Prior(loc, scale, x, "x_0" if self.init == "coarse" else "x_0+noise")

    def denoise(self, x_t: Tensor, t: Tensor, context: Context) -> Output:
        """x_t (B, J, 2); or heatmaps (B, J, h, w), the evidence of the step before (`Repeat`)."""
        if self._is_heatmap(x_t):
            maps, points = x_t, self.space.drawn(self.space.read(x_t))
        else:
            points = self.space.drawn(x_t)
            maps = self.space.render(points)
        clean = self._decoder(maps, points, t, context)
        return Output(self.space.read(clean), clean)

    def target(self, sample: Sample) -> Tensor:
        labelled = sample["visible"] > 0
        x_0 = torch.where(labelled[..., None], self.space.state(sample["keypoints"]), 0.0)
        return x_0 if self.poses is None else self.poses(x_0, labelled)

    def loss(
        self, x_t: Tensor, t: Tensor, goal: Tensor, context: Context, sample: Sample
    ) -> Tensor:
        """The loss of heatmaps, of the decoder and of the coarse head; joints without a label have
        no weight."""
        labelled = sample["visible"] > 0
        present = torch.ones_like(labelled) if self.missing == "mle" else labelled
        if self.missing == "noise":
            x_t = torch.where(labelled[..., None], x_t, torch.randn_like(x_t))
            present = labelled | (torch.rand_like(x_t[..., 0]) < 0.5)
        points = self.space.drawn(x_t)
        maps = self.space.render(points)
        if self.missing == "drop":
            maps = maps * labelled[..., None, None]
        clean = self._decoder(maps, points, t, context, present)
        return self.coarse.loss(clean, sample) + self.coarse.loss(context["coarse"], sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        """The K heatmaps of a sample (B, K, J, h, w) -> annotation pixels.

        Raises:
            ValueError: K > 1 and all K are the same, for nothing was drawn.
        """
        compiling = torch.compiler.is_compiling()
        if self.init == "coarse" and estimates.shape[1] > 1 and not compiling:
            difference = (estimates - estimates[:, :1]).abs().max()
            if difference <= 1e-6 * estimates.abs().max():
                raise ValueError(
                    f"{estimates.shape[1]} hypotheses from the coarse pose are all the same: set "
                    "task.inference.init=coarse+noise, preset=sgdd_noise or sampler.eta above 0"
                )
        return self.coarse.decode(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        """A state (..., J, 2), or heatmaps (..., J, h, w)."""
        if self._is_heatmap(x):
            return self.coarse.mirror(x)
        return self.space.mirror(x, self.bones)

    def mirror_sample(self, sample: Sample) -> Sample:
        return self.coarse.mirror_sample(sample)

    def _is_heatmap(self, x: Tensor) -> bool:
        return x.shape[-2:] == self.coarse.codec.shape

    def _decoder(
        self,
        maps: Tensor,
        points: Tensor,
        t: Tensor,
        context: Context,
        present: Tensor | None = None,
    ) -> Tensor:
        """The clean heatmaps, from noisy ones and the map pixels where its joints are."""
        guide = context.get("guide")
        if guide is None and self.guide.condition:
            guide = self._guide(points, context, present)
        clean: Tensor = self.sgdd(maps, guide, context["stem"], t)
        return clean

    def _guide(self, points: Tensor, context: Context, present: Tensor | None = None) -> Tensor:
        masks = self.masks(points, self.bones.edges, present)
        guide: Tensor = self.guide(context, masks)
        return guide

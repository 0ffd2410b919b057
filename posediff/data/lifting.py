"""Clips of 3D poses seen by cameras -> the samples of lift3d, one per camera and frame.

Which 2D a sample carries:

    gt        the true projection
    noisy     the true projection through `DetectorNoise`, drawn by (seed, id), in training also by
              epoch, so that a sample is the same alone, in any batch and in any order
    detected  the clip's own detections
    mixture   a component of the clip's own mixtures (posediff/data/mixtures.py)

A joint outside the picture or behind the camera is not visible: score 0, its projection as it is.
Of own detections only a score of 0 says that a joint is missing; own mixtures miss none.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from posediff.data import random
from posediff.data.detector import FLOOR, DetectorNoise, kernel, point_mixture
from posediff.pose.camera import Camera, project, world_to_camera
from posediff.pose.mirror import mirror_sample
from posediff.pose.skeleton import skeleton as skeleton_named

Sample = dict[str, Any]
Source = Literal["gt", "noisy", "detected", "mixture"]

DETECTED = 0.005  # deviation of a detector that tells none, in picture widths: 5 px at 1000
MISSING = 1 / 40  # and of a joint that nobody saw


@dataclass
class Clip:
    """One person moving: 3D joints in the world, the cameras that see them, perhaps detections."""

    name: str
    subject: str
    action: str
    world: NDArray[np.float32]  # (F, J, 3) metres, z up
    cameras: list[Camera]
    camera_names: list[str]
    detections: list[NDArray[np.float32]] | None = None  # per camera (F, J, 2) pixels
    detection_scores: list[NDArray[np.float32]] | None = None  # per camera (F, J)
    mixtures: list[NDArray[np.float32]] | None = None  # per camera (F, J, M, 5) as in their files


class View(NamedTuple):
    """A clip in one camera; of the rows only those with enough visible joints."""

    keypoints: Tensor  # (F, J, 3) camera metres
    target: Tensor  # (F, J, 2) pixels, the true projection
    visible: Tensor  # (F, J) bool
    frame: Tensor  # (F,) its number in the clip
    points: Tensor  # (F, J, 2) pixels, the detections; (F, 0, 2) where none are read
    scores: Tensor  # (F, J) of the detections; (F, 0)
    mixtures: Tensor  # (F, J, M, 5); (F, 0)


class LiftingDataset(Dataset[Sample]):
    """Samples of a batch come at once: give a loader `collate_fn=lambda batch: batch`.

    skeleton: the name of the clips' layout. noise: of keypoints="noisy". mirror: show every other
    training sample, drawn by (seed, id, epoch), in a mirror. minimum_visible: camera-frames with
    fewer visible joints are left out and counted in `left_out`. kernel: the 2D is the heaviest
    component of the mixture, the detection, or (the released lift3d) one drawn by weight. label:
    what results call the 2D.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        skeleton: str,
        keypoints: Source = "gt",
        noise: DetectorNoise | None = None,
        seed: int = 0,
        training: bool = False,
        mirror: bool = False,
        minimum_visible: int = 9,
        kernel: Literal["heaviest", "sample"] = "heaviest",
        label: str | None = None,
    ) -> None:
        if kernel not in ("heaviest", "sample"):
            raise ValueError(f"kernel must be heaviest or sample, got {kernel!r}")
        if keypoints not in get_args(Source):
            known = ", ".join(get_args(Source))
            raise ValueError(f"keypoints must be one of {known}, got {keypoints!r}")
        self.skeleton = skeleton_named(skeleton)
        self.source, self.label = keypoints, label or keypoints
        self.noise = noise or DetectorNoise()
        self.seed, self.training, self.mirror, self.kernel = seed, training, mirror, kernel
        self.epoch = 0

        if not clips:
            raise ValueError("no clips: look at the data folder, the split and the subjects")
        for clip in clips:
            _check(clip, len(self.skeleton.joints), keypoints)
        seen = [(clip, c) for clip in clips for c in range(len(clip.cameras))]
        views = [_view(clip, c, keypoints, minimum_visible) for clip, c in seen]
        lengths = torch.tensor([len(view.frame) for view in views], dtype=torch.long)
        self.rows = View(*(torch.cat(column) for column in zip(*views, strict=True)))
        self.view = torch.arange(len(views)).repeat_interleave(lengths)  # of every row
        self.left_out = sum(len(clip.world) for clip, _ in seen) - len(self)

        cameras = [clip.cameras[c] for clip, c in seen]
        self.intrinsics = torch.stack([camera.intrinsics.float() for camera in cameras])
        self.sizes = torch.stack([camera.size.float() for camera in cameras])
        self.labels = [
            {
                "subject": clip.subject,
                "action": clip.action,
                "camera": clip.camera_names[c],
                "sequence": f"{clip.subject}/{clip.name}/{clip.camera_names[c]}",
            }
            for clip, c in seen
        ]
        self.keys = random.name_keys([label["sequence"] for label in self.labels])
        if len(np.unique(self.keys)) < len(self.keys):
            raise ValueError("two clips of one subject have the same name: give each its own")

    def __len__(self) -> int:
        return len(self.rows.frame)

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = _only(self.__getitems__([index]))
        return sample

    def __getitems__(self, indices: Sequence[int]) -> Sample:
        """The batched sample of these rows."""
        rows = torch.as_tensor(indices)
        keypoints, target, visible, frame, *seen = (column[rows] for column in self.rows)
        points, scores, mixtures = seen
        view = self.view[rows]
        labels = [self.labels[v] for v in view.tolist()]
        epoch = self.epoch if self.training else 0
        keys = random.keys(self.seed, self.keys[view.numpy()], frame.numpy(), epoch)
        size = self.sizes[view]
        sample = {
            "id": [f"{x['sequence']}/{f:06d}" for x, f in zip(labels, frame.tolist(), strict=True)],
            "keypoints": keypoints,
            **self._evidence(target, visible, points, scores, mixtures, size[:, 0], keys),
            "target_2d": target,
            "visible": visible.float(),
            "camera": self.intrinsics[view],
            "image_size": size,
            "meta": {k: [label[k] for label in labels] for k in self.labels[0]} | {"frame": frame},
        }
        if self.training and self.mirror:
            heads = torch.from_numpy(random.uniform(random.keys(1, keys), 1)[:, 0] < 0.5)
            sample = _choose(heads, mirror_sample(sample, self.skeleton), sample)
        return sample

    def _evidence(
        self,
        target: Tensor,
        visible: Tensor,
        points: Tensor,
        scores: Tensor,
        mixtures: Tensor,
        width: Tensor,
        keys: NDArray[np.uint64],
    ) -> Sample:
        """The 2D of the samples: what encoder, prior and residuals may read."""
        if self.source == "noisy":
            points, scores = self.noise.draw(target, width, keys, self.skeleton)
            points = torch.where(visible[..., None], points, target)
        elif self.source != "detected":
            points, scores = target, torch.ones_like(target[..., 0])
        scores = scores * visible

        if self.source == "noisy":
            mixture = self.noise.posterior(points, scores, width, self.skeleton)
        elif self.source == "mixture":
            loc, scale = mixtures[..., 1:3], mixtures[..., 3:]
            mixture = {"weights": mixtures[..., 0], "loc": loc, "scale": scale}
        else:
            blur = FLOOR if self.source == "gt" else DETECTED * width[:, None]
            mixture = point_mixture(points, blur)
        if not visible.all():
            mixture = _choose(visible, mixture, point_mixture(points, MISSING * width[:, None]))
        u = None
        if self.kernel == "sample":
            u = torch.from_numpy(random.uniform(random.keys(2, keys), points.shape[1]))
        return {**kernel(mixture, u), "scores": scores, "mixture": mixture}

    def set_epoch(self, epoch: int) -> None:
        """Before a loader's workers start: they hold a copy."""
        self.epoch = epoch

    def summary(self) -> dict[str, Any]:
        """What a result has to say about the data that it was measured on."""
        source = {"noise": asdict(self.noise)} if self.source == "noisy" else {}
        return {
            "frames": len(self),
            "people": len(self),  # one in every frame
            "left_out": self.left_out,
            "subjects": sorted({label["subject"] for label in self.labels}),
            "skeleton": self.skeleton.name,
            "keypoints": self.label,
        } | source


def _check(clip: Clip, joints: int, source: Source) -> None:
    """One clear line for a clip that cannot be read."""
    F, name = len(clip.world), f"clip {clip.subject}/{clip.name}"
    if clip.world.shape != (F, joints, 3):
        raise ValueError(f"{name}: world is {clip.world.shape}, the skeleton asks {(F, joints, 3)}")
    if len(clip.camera_names) != len(clip.cameras):
        raise ValueError(f"{name}: {len(clip.camera_names)} names for {len(clip.cameras)} cameras")
    if source == "mixture" and clip.mixtures is None:
        raise ValueError(f"{name} has no mixtures: use keypoints gt or noisy, or a file of them")
    if source != "detected":
        return
    if clip.detections is None:
        raise ValueError(f"{name} has no detections: use keypoints gt or noisy")
    shapes = [x.shape for x in clip.detections]
    if shapes != [(F, joints, 2)] * len(clip.cameras):
        raise ValueError(f"{name}: detections are {shapes}, need {(F, joints, 2)} per camera")


def _view(clip: Clip, c: int, source: Source, minimum_visible: int) -> View:
    """In float64, so that a projection is exact to the last bit of its float32."""
    camera = Camera(*(part.double() for part in clip.cameras[c]))
    keypoints = world_to_camera(torch.tensor(clip.world, dtype=torch.float64), camera)
    target = project(keypoints, camera.intrinsics)
    F, J, _ = keypoints.shape
    mixtures = torch.empty(F, 0)
    if source == "detected" and clip.detections is not None:
        points = torch.tensor(clip.detections[c], dtype=torch.float32)
        given = clip.detection_scores
        scores = torch.ones(F, J) if given is None else torch.tensor(given[c], dtype=torch.float32)
        visible = scores > 0
    else:
        points, scores = torch.empty(F, 0, 2), torch.empty(F, 0)
        inside = ((target >= -0.5) & (target < camera.size - 0.5)).all(-1)
        visible = inside & (keypoints[..., 2] > 0)
    if source == "mixture" and clip.mixtures is not None:
        mixtures = torch.from_numpy(clip.mixtures[c])
        visible = torch.ones_like(visible)
    frame = torch.arange(F)
    view = View(keypoints.float(), target.float(), visible, frame, points, scores, mixtures)
    keep = visible.sum(-1) >= minimum_visible
    return View(*(column[keep] for column in view))


def _choose(here: Tensor, yes: Any, no: Any) -> Any:
    """torch.where through the dictionaries of a sample; `here` is (B,) or (B, J)."""
    if isinstance(yes, dict):
        return {k: _choose(here, yes[k], no[k]) for k in yes}
    if isinstance(yes, Tensor):
        return torch.where(here.view(here.shape + (1,) * (yes.ndim - here.ndim)), yes, no)
    return yes


def _only(batch: Any) -> Any:
    """The one sample of a batch of one, without its leading dimension."""
    if isinstance(batch, dict):
        return {k: _only(v) for k, v in batch.items()}
    return batch[0]

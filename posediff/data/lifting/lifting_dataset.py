"""Clips of 3D poses seen by cameras -> the samples of lift3d, one per camera and frame.

For a video model a sample is a window of frames (posediff/data/lifting/windows.py), with a leading
F in all its arrays. Its frames are those that single samples would be, down to the drawn noise.

Which 2D a sample carries:

    gt        the true projection
    noisy     the true projection through `DetectorNoise`, drawn by (seed, id), in training also by
              epoch, so that a sample is the same alone, in any batch and in any order
    detected  the clip's own detections
    mixture   a component of the clip's own mixtures (posediff/data/lifting/mixtures.py)

A joint outside the picture or behind the camera is not visible: score 0, its projection as it is.
Of own detections only a score of 0 says that a joint is missing; own mixtures miss none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypedDict, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from posediff.data import random
from posediff.data.lifting.detector import DetectorNoise, chosen, point_mixture
from posediff.data.lifting.views import Clip, Source, View, actions_of, check, counted, view_of
from posediff.data.lifting.windows import Windows
from posediff.diffusion.choices import one_of
from posediff.pose.layout import DETECTED, MISSING
from posediff.pose.mirror import mirror_sample
from posediff.pose.mixture import FLOOR
from posediff.pose.skeleton import skeleton as skeleton_named
from posediff.sample import fold, take, where
from posediff.truth import Truth


class LiftingOptions(TypedDict, total=False):
    """Options shared by all data sets of this kind, see `LiftingDataset`."""

    name: str
    noise: DetectorNoise | None
    seed: int
    mirror: bool
    component: Literal["heaviest", "sample"]
    window: int
    answers: Literal["all", "centre"]
    count_overlap: bool


class LiftingDataset(Dataset[dict[str, Any]]):
    """Samples of a batch come at once: give a loader `collate_fn=lambda batch: batch`.

    skeleton     name of the clips' layout
    noise        of keypoints="noisy"
    seed         of the noise, the mirrored samples and the places of windows, with id and epoch
    mirror       show every other training sample in a mirror
    minimum_visible   camera-frames with fewer visible joints are left out, counted in `left_out`
    component    the 2D is the heaviest component of the mixture, the detection, or (the released
                 lift3d) one drawn by weight
    window       frames of a sample; 1 is a single frame, without a leading F. A window keeps the
                 camera-frames that single frames leave out, but they are not valid in it
    answers      all frames of windows that follow each other, or the centre of windows around every
                 frame, for models that answer for the middle one alone
    count_overlap   frames that windows show twice, and padding, are valid each time, a fault of
                 released evaluations
    name, label  of the data set, and of its 2D, in results; about: what else they say of the data
    Raises ValueError for clips or options that cannot be used.
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
        component: Literal["heaviest", "sample"] = "heaviest",
        label: str | None = None,
        window: int = 1,
        answers: Literal["all", "centre"] = "all",
        count_overlap: bool = False,
        name: str = "",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        one_of("dataset.component", component, ("heaviest", "sample"))
        one_of("dataset.keypoints", keypoints, get_args(Source))
        one_of("dataset.answers", answers, ("all", "centre"))
        self.name = name
        self.skeleton = skeleton_named(skeleton)
        self.source, self.label, self.about = keypoints, label or keypoints, dict(about or {})
        self.noise = noise or DetectorNoise()
        self.seed, self.training, self.mirror, self.component = seed, training, mirror, component
        self.epoch, self.count_overlap = 0, count_overlap

        if not clips:
            raise ValueError("no clips: look at the data folder, the split and the subjects")
        for clip in clips:
            check(clip, len(self.skeleton.joints), keypoints)
        seen = [(clip, c) for clip in clips for c in range(len(clip.cameras))]
        self.actions = sorted({action for clip in clips for action in actions_of(clip)})
        number = {action: n for n, action in enumerate(self.actions)}
        views = [view_of(clip, c, number, keypoints, minimum_visible) for clip, c in seen]
        if window == 1:
            views = [View(*(column[view.counts] for column in view)) for view in views]
        self.rows = View(*(torch.cat(column) for column in zip(*views, strict=True)))
        windows = Windows.over([len(v.frame) for v in views], window, answers == "centre")
        self.windows = windows.with_any(self.rows.counts)
        self.left_out = sum(counted(clip) for clip, _ in seen) - int(self.rows.counts.sum())

        cameras = [clip.cameras[c] for clip, c in seen]
        self.intrinsics = torch.stack([camera.intrinsics.float() for camera in cameras])
        self.sizes = torch.stack([camera.size.float() for camera in cameras])
        self.labels = [
            {
                "subject": clip.subject,
                "camera": clip.camera_names[c],
                "sequence": f"{clip.subject}/{clip.name}/{clip.camera_names[c]}",
            }
            for clip, c in seen
        ]
        self.keys = random.name_keys([label["sequence"] for label in self.labels])
        if len(np.unique(self.keys)) < len(self.keys):
            raise ValueError("two clips of one subject have the same name: give each its own")

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, without the leading dimension."""
        sample: dict[str, Any] = take(self.__getitems__([index]), 0)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """The batched sample of these frames or windows."""
        F, index = self.windows.window, torch.as_tensor(indices)
        view = self.windows.sequence[index]
        epoch = self.epoch if self.training else 0
        rows, valid = self.windows.rows(index, self._places(index, epoch))
        if self.count_overlap:
            valid = torch.ones_like(valid)
        frame = self.rows.frame[rows]
        keys = self.keys[view.numpy()].repeat(F)
        keys = random.keys(self.seed, keys, frame.flatten().numpy(), epoch)
        sample = self._frames(rows.flatten(), view.repeat_interleave(F), keys)
        actions = [[self.actions[a] for a in window] for window in self.rows.action[rows].tolist()]
        if F > 1:
            sample = fold(sample, F)
            sample["frames_valid"] = (valid & self.rows.counts[rows]).float()
        labels = [self.labels[v] for v in view.tolist()]
        names = frame[:, self.windows.named_by].tolist()
        sample["id"] = [f"{x['sequence']}/{f:06d}" for x, f in zip(labels, names, strict=True)]
        sample["meta"] = {k: [x[k] for x in labels] for k in self.labels[0]} | {
            "action": actions if F > 1 else [action for (action,) in actions],
            "frame": frame if F > 1 else frame[:, 0],
        }
        if self.training and self.mirror:
            heads = torch.from_numpy(random.uniform(random.keys(1, keys[::F]), 1)[:, 0] < 0.5)
            sample = where(heads, mirror_sample(sample, self.skeleton), sample)
        return sample

    def _places(self, index: Tensor, epoch: int) -> Tensor | None:
        """Where windows begin in training, (B,) in [0, 1)."""
        if not self.training or self.windows.window == 1:
            return None
        sequence, number = self.windows.sequence[index], self.windows.number[index]
        keys = random.keys(self.seed, self.keys[sequence.numpy()], number.numpy(), epoch)
        return torch.from_numpy(random.uniform(random.keys(3, keys), 1)[:, 0])

    def _frames(self, rows: Tensor, view: Tensor, keys: NDArray[np.uint64]) -> dict[str, Any]:
        """The tensors of single frames, by row, camera view and key (N,)."""
        keypoints, target, visible, _, _, points, scores, mixtures, _ = (x[rows] for x in self.rows)
        size = self.sizes[view]
        return {
            "keypoints": keypoints,
            **self._evidence(target, visible, points, scores, mixtures, size[:, 0], keys),
            "target_2d": target,
            "visible": visible.float(),
            "camera": self.intrinsics[view],
            "image_size": size,
        }

    def _evidence(
        self,
        target: Tensor,
        visible: Tensor,
        points: Tensor,
        scores: Tensor,
        mixtures: Tensor,
        width: Tensor,
        keys: NDArray[np.uint64],
    ) -> dict[str, Any]:
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
            mixture = where(visible, mixture, point_mixture(points, MISSING * width[:, None]))
        u = None
        if self.component == "sample":
            u = torch.from_numpy(random.uniform(random.keys(2, keys), points.shape[1]))
        return {**chosen(mixture, u), "scores": scores, "mixture": mixture}

    def set_epoch(self, epoch: int) -> None:
        """Before a loader's workers start: they hold a copy."""
        self.epoch = epoch

    def truth(self, whole: bool = True) -> Truth:
        """What a metric needs beside the samples."""
        return Truth(self.skeleton.name, self.name, dimensions=3, whole=whole)

    def summary(self) -> dict[str, Any]:
        """What a result has to say about the data that it was measured on."""
        source = {"noise": asdict(self.noise)} if self.source == "noisy" else {}
        F, counted = self.windows.window, int(self.rows.counts.sum())
        windows = {"window": F, "windows": len(self)} if F > 1 else {}
        return (
            {
                "frames": counted,
                "people": counted,  # one in every frame
                "left_out": self.left_out,
                "subjects": sorted({label["subject"] for label in self.labels}),
                "skeleton": self.skeleton.name,
                "keypoints": self.label,
            }
            | self.about
            | source
            | windows
        )

"""The samples of lift3d: clips of 3D poses seen by cameras, one sample per camera and frame.

For a video model a sample is a window of frames (posediff/data/lifting/windows.py), with a leading
F in all its arrays. Its frames equal the single samples, their drawn noise included.

The 2D of a sample:

    gt        the true projection
    noisy     the true projection through `DetectorNoise`, drawn by (seed, id), in training also by
              epoch, so that a sample is the same alone, in any batch and in any order; errors that
              last are those of its sequence, too
    detected  the clip's own detections
    mixture   a component of the clip's own mixtures (posediff/data/lifting/mixtures.py)

A joint outside the image or behind the camera is not visible: score 0, its projection unchanged.
Detections miss a joint only if its score is 0; mixtures miss none.
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
from posediff.data.balance import Balance
from posediff.data.lifting import drawn_views
from posediff.data.lifting.detector import DetectorNoise, Moment, chosen, point_mixture
from posediff.data.lifting.views import Clip, Source, View, check, view_of
from posediff.data.lifting.windows import Windows
from posediff.diffusion.choices import one_of
from posediff.pose.camera import Camera
from posediff.pose.layout import DETECTED, MISSING
from posediff.pose.mirror import mirror_sample
from posediff.pose.mixture import FLOOR
from posediff.pose.skeleton import skeleton as skeleton_named
from posediff.sample import fold, take, where
from posediff.truth import Truth

MIRROR, COMPONENT, START, VIEW, EXACT = (
    1,
    2,
    3,
    4,
    5,
)  # what is drawn: the first part of the key of a draw


class LiftingOptions(TypedDict, total=False):
    """Options shared by all data sets of 3D poses, see `LiftingDataset`."""

    name: str
    noise: DetectorNoise | None
    exact: float
    seed: int
    mirror: bool
    component: Literal["heaviest", "sample"]
    window: int
    answers: Literal["all", "centre"]
    count_overlap: bool


class LiftingDataset(Dataset[dict[str, Any]]):
    """A data set that returns whole batches: give a loader `collate_fn=lambda batch: batch`.

    skeleton     name of the clips' layout
    noise        of keypoints="noisy"
    exact        share of training samples of keypoints="noisy" that are without noise, for a model
                 that reads both
    seed         of noise, mirroring, drawn components and starts of windows, with id and epoch
    mirror       mirror every other training sample, at random
    minimum_visible   camera-frames with fewer visible joints are left out, counted in `left_out`
    component    the 2D is the heaviest component of the mixture, the detection, or (the released
                 lift3d) one drawn by weight
    window       frames of a sample; 1 is a single frame, without a leading F. A window keeps the
                 camera-frames that single frames leave out, but they are not valid in it
    answers      all frames of windows that follow each other, or the centre of windows around every
                 frame, for models that predict the middle one alone
    views        fixed, the cameras of the clips; turned or free, drawn for every training sample
                 (posediff/data/lifting/drawn_views.py)
    balance      shares of the sources of clips among the training samples; None: as they are
    count_overlap   repeated frames and padding of windows are valid each time, an error of
                 released evaluations
    name, label  of the data set, and of its 2D, in results; about: more entries of `summary`

    Raises ValueError for clips or options that cannot be used.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        skeleton: str,
        keypoints: Source = "gt",
        noise: DetectorNoise | None = None,
        exact: float = 0.0,
        seed: int = 0,
        training: bool = False,
        mirror: bool = False,
        minimum_visible: int = 9,
        component: Literal["heaviest", "sample"] = "heaviest",
        label: str | None = None,
        window: int = 1,
        answers: Literal["all", "centre"] = "all",
        count_overlap: bool = False,
        views: Literal["fixed", "turned", "free"] = "fixed",
        balance: Mapping[str, float] | None = None,
        name: str = "",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        one_of("dataset.component", component, ("heaviest", "sample"))
        one_of("dataset.keypoints", keypoints, get_args(Source))
        one_of("dataset.answers", answers, ("all", "centre"))
        refuse_views(views, keypoints, label or keypoints)
        if not 0 <= exact <= 1:
            raise ValueError(f"dataset.exact must be in 0..1, got {exact}")
        self.name = name
        self.skeleton = skeleton_named(skeleton)
        self.source, self.label, self.about = keypoints, label or keypoints, about or {}
        self.noise, self.exact = noise or DetectorNoise(), exact if training else 0.0
        self.seed, self.training, self.mirror, self.component = seed, training, mirror, component
        self.epoch, self.count_overlap = 0, count_overlap
        self.views = views if training else "fixed"
        self.minimum_visible = minimum_visible

        if not clips:
            raise ValueError("no clips: look at the data folder, the split and the subjects")
        for clip in clips:
            check(clip, len(self.skeleton.joints), keypoints)
        pairs = [(clip, c) for clip in clips for c in range(len(clip.cameras))]
        self._take_rows(pairs, window, answers == "centre")
        sources = [pairs[view][0].source for view in self.windows.sequence.tolist()]
        self.balance = Balance(balance, sources) if balance and training else None
        self._take_names(pairs)

    def _take_rows(self, pairs: Sequence[tuple[Clip, int]], window: int, centre: bool) -> None:
        """Keep what the cameras see, and its windows, of pairs of a clip and a camera of it."""
        least = self.minimum_visible if self.views == "fixed" else 0
        seen = [view_of(clip, c, self.source, least) for clip, c in pairs]
        if window == 1:
            seen = [View(*(column[view.counts] for column in view)) for view in seen]
        self.rows = View(*(torch.cat(column) for column in zip(*seen, strict=True)))
        windows = Windows.over([len(v.frame) for v in seen], window, centre)
        self.windows = windows.with_any(self.rows.counts)
        valid = [
            len(clip.world) if clip.valid is None else int(clip.valid.sum()) for clip, _ in pairs
        ]
        self.left_out = sum(valid) - int(self.rows.counts.sum())
        if not len(self):
            raise ValueError(
                f"no camera sees {least} or more joints in any of {sum(valid)} frames: look at the "
                "cameras (unit, R, resolution)"
            )

    def _take_names(self, pairs: Sequence[tuple[Clip, int]]) -> None:
        """Keep the cameras, actions and names of pairs of a clip and a camera of it, and the keys
        of their random numbers. Raises ValueError if two have one name."""
        cameras = zip(*(clip.cameras[c] for clip, c in pairs), strict=True)
        self.cameras = Camera(*(torch.stack(part).float() for part in cameras))
        self.actions = [clip.actions() for clip, _ in pairs]
        self.origins = {
            "subject": [clip.subject for clip, _ in pairs],
            "camera": [clip.camera_names[c] for clip, c in pairs],
            "sequence": [f"{clip.subject}/{clip.name}/{clip.camera_names[c]}" for clip, c in pairs],
        }
        self.keys = random.name_keys(self.origins["sequence"])
        if len(np.unique(self.keys)) < len(self.keys):
            raise ValueError("two clips of one subject have the same name: rename one")

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, without the leading dimension."""
        sample: dict[str, Any] = take(self.__getitems__([index]), 0)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """The batched sample of these frames or windows."""
        epoch = np.full(len(indices), self.epoch if self.training else 0)
        if self.balance is not None:
            indices, epoch = self.balance.at(indices, self.epoch)
        F, index = self.windows.window, torch.as_tensor(indices)
        view = self.windows.sequence[index]
        view_keys, u = self.keys[view.numpy()], None
        if self.training and F > 1:
            number = self.windows.number[index].numpy()
            u = _uniform(START, random.keys(self.seed, view_keys, number, epoch))[:, 0]
        rows, valid = self.windows.rows(index, u)
        frame = self.rows.frame[rows]
        of_frame = frame.flatten().numpy()
        keys = random.keys(self.seed, view_keys.repeat(F), of_frame, epoch.repeat(F))
        moment = Moment(random.keys(self.seed, view_keys, epoch).repeat(F), of_frame)
        sample = self._frames(rows.flatten(), view.repeat_interleave(F), keys, moment)
        if F > 1:
            sample = fold(sample, F)
            valid = (valid | self.count_overlap) & self.rows.counts[rows]
            if self.views != "fixed":
                valid &= sample["visible"].sum(-1) >= self.minimum_visible
            sample["frames_valid"] = valid.float()

        views, names = view.tolist(), frame[:, self.windows.named_by].tolist()
        origins = {key: [column[v] for v in views] for key, column in self.origins.items()}
        actions = [
            [self.actions[v][f] for f in frames]
            for v, frames in zip(views, frame.tolist(), strict=True)
        ]
        sample["id"] = [f"{x}/{f:06d}" for x, f in zip(origins["sequence"], names, strict=True)]
        sample["meta"] = origins | {
            "action": actions if F > 1 else [action for (action,) in actions],
            "frame": frame if F > 1 else frame[:, 0],
        }
        if self.training and self.mirror:
            mirrored = _uniform(MIRROR, keys[::F])[:, 0] < 0.5
            sample = where(mirrored, mirror_sample(sample, self.skeleton), sample)
        return sample

    def _frames(
        self, rows: Tensor, view: Tensor, keys: NDArray[np.uint64], moment: Moment
    ) -> dict[str, Any]:
        """The tensors of single frames, by row, view, key and moment (N,)."""
        row = View(*(column[rows] for column in self.rows))
        camera = Camera(*(part[view] for part in self.cameras))
        if self.views != "fixed":
            u = _uniform(VIEW, keys[:: self.windows.window], drawn_views.numbers(self.skeleton))
            row, camera = drawn_views.draw(self.views, row, camera, u, self.skeleton)
        return {
            "keypoints": row.keypoints,
            **self._evidence(row, camera.size[:, 0], keys, moment),
            "target_2d": row.target,
            "visible": row.visible.float(),
            "camera": camera.intrinsics,
            "image_size": camera.size,
        }

    def _evidence(
        self, row: View, width: Tensor, keys: NDArray[np.uint64], moment: Moment
    ) -> dict[str, Any]:
        """The 2D of single frames, all that encoder, prior and residuals may read."""
        points, scores, visible = row.target, row.visible.float(), row.visible
        if self.source == "noisy":
            drawn, scores = self.noise.draw(row.target, width, keys, self.skeleton, moment)
            points, scores = torch.where(visible[..., None], drawn, row.target), scores * visible
            mixture = self.noise.posterior(points, scores, width, self.skeleton)
            if self.exact:
                clean = _uniform(EXACT, keys[:: self.windows.window])[:, 0] < self.exact
                clean = clean.repeat_interleave(self.windows.window)
                points = torch.where(clean[:, None, None], row.target, points)
                scores = torch.where(clean[:, None], visible.float(), scores)
                mixture = where(clean, point_mixture(row.target, FLOOR), mixture)
        elif self.source == "detected":
            points, scores = row.points, row.scores * visible
            mixture = point_mixture(points, DETECTED * width[:, None])
        elif self.source == "mixture":
            weights, loc, scale = torch.split(row.mixtures, [1, 2, 2], -1)
            mixture = {"weights": weights[..., 0], "loc": loc, "scale": scale}
        else:
            mixture = point_mixture(points, FLOOR)
        if not visible.all():
            mixture = where(visible, mixture, point_mixture(points, MISSING * width[:, None]))
        u = _uniform(COMPONENT, keys, points.shape[1]) if self.component == "sample" else None
        return {**chosen(mixture, u), "scores": scores, "mixture": mixture}

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next draws, before a loader's workers start: they have a copy."""
        self.epoch = epoch

    def truth(self, whole: bool = True) -> Truth:
        """The labels that a metric needs besides the samples."""
        return Truth(self.skeleton.name, self.name, dimensions=3, whole=whole)

    def summary(self) -> dict[str, Any]:
        """The description of the data in a result."""
        F, counted = self.windows.window, int(self.rows.counts.sum())
        summary = {
            "frames": counted,
            "people": counted,  # one in every frame
            "left_out": self.left_out,
            "subjects": sorted(set(self.origins["subject"])),
            "skeleton": self.skeleton.name,
            "keypoints": self.label,
            **self.about,
        }
        if self.source == "noisy":
            summary["noise"] = asdict(self.noise)
        if F > 1:
            summary |= {"window": F, "windows": len(self)}
        return summary


def _uniform(what: int, keys: NDArray[np.uint64], n: int = 1) -> Tensor:
    """Numbers (B, n) in [0, 1) of sample keys (B,), independent for every `what`."""
    return torch.from_numpy(random.uniform(random.keys(what, keys), n))


def refuse_views(views: str, source: Source, label: str) -> None:
    """Raise ValueError for unknown views, and for drawn ones of 2D that is given."""
    one_of("dataset.views", views, drawn_views.VIEWS)
    if views != "fixed" and source not in ("gt", "noisy"):
        raise ValueError(
            f"dataset.views={views} has no 2D of {label}: set dataset.keypoints to gt or noisy"
        )

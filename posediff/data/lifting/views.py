"""A clip of one person in 3D and its views by cameras, of which the samples of lift3d are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.pose.camera import Camera, project, world_to_camera
from posediff.pose.mixture import COMPONENTS

Source = Literal["gt", "noisy", "detected", "mixture"]


@dataclass
class Clip:
    """The 3D joints of one person in the world, the cameras, and perhaps 2D detections."""

    name: str
    subject: str
    action: str | Sequence[str]  # of the clip, or of every frame
    world: NDArray[np.float32]  # (F, J, 3) metres, z up
    cameras: list[Camera]
    camera_names: list[str]
    detections: list[NDArray[np.float32]] | None = None  # per camera (F, J, 2) pixels
    detection_scores: list[NDArray[np.float32]] | None = None  # per camera (F, J)
    annotated: list[NDArray[np.float32]] | None = None  # per camera, true 2D that is no projection
    valid: NDArray[np.bool_] | None = None  # (F,) the frames that count; None: all
    mixtures: list[NDArray[np.float32]] | None = None  # per camera (F, J, M, 5) as in their files
    source: str = ""  # its name in shares of training samples

    def actions(self) -> Sequence[str]:
        """The action of every frame."""
        return [self.action] * len(self.world) if isinstance(self.action, str) else self.action


class View(NamedTuple):
    """A clip in one camera."""

    keypoints: Tensor  # (F, J, 3) camera metres
    target: Tensor  # (F, J, 2) pixels, the true projection
    visible: Tensor  # (F, J) bool
    frame: Tensor  # (F,) its number in the clip
    points: Tensor  # (F, J, 2) pixels, the detections; (F, 0, 2) without
    scores: Tensor  # (F, J) of the detections; (F, 0) without
    mixtures: Tensor  # (F, J, M, 5); (F, 0) without
    counts: Tensor  # (F,) bool, valid and with enough visible joints


def check(clip: Clip, joints: int, source: Source) -> None:
    """Raises ValueError if a clip does not have poses of `joints` joints and the 2D of `source`."""
    F, actions, name = len(clip.world), clip.actions(), f"clip {clip.subject}/{clip.name}"
    if clip.world.shape != (F, joints, 3):
        raise ValueError(
            f"{name}: world has shape {clip.world.shape}, the skeleton needs {(F, joints, 3)}"
        )
    if len(clip.camera_names) != len(clip.cameras):
        raise ValueError(f"{name}: {len(clip.camera_names)} names for {len(clip.cameras)} cameras")
    if len(actions) != F:
        raise ValueError(f"{name}: {len(actions)} actions for {F} frames")
    if source == "mixture":
        _check_2d(name, "mixtures", clip.mixtures, (F, joints, COMPONENTS, 5), len(clip.cameras))
    if source == "detected":
        _check_2d(name, "detections", clip.detections, (F, joints, 2), len(clip.cameras))


def _check_2d(
    name: str, what: str, given: Sequence[NDArray[Any]] | None, shape: tuple[int, ...], cameras: int
) -> None:
    if given is None:
        raise ValueError(f"{name} has no {what}: use keypoints gt or noisy")
    shapes = [x.shape for x in given]
    if shapes != [shape] * cameras:
        raise ValueError(f"{name}: {what} are {shapes}, need {shape} per camera")


def view_of(clip: Clip, c: int, source: Source, minimum_visible: int) -> View:
    """A clip in its camera c.

    Computed in float64, so that a projection is exact to the last bit of its float32.
    """
    camera = Camera(*(part.double() for part in clip.cameras[c]))
    keypoints = world_to_camera(torch.tensor(clip.world, dtype=torch.float64), camera)
    target = project(keypoints, camera.intrinsics)
    if clip.annotated is not None:
        target = torch.tensor(clip.annotated[c], dtype=torch.float64)
    F, J, _ = keypoints.shape
    points, scores, mixtures = torch.empty(F, 0, 2), torch.empty(F, 0), torch.empty(F, 0)
    visible = in_image(keypoints, target, camera.size)
    if source == "detected" and clip.detections is not None:
        points = torch.tensor(clip.detections[c], dtype=torch.float32)
        given = clip.detection_scores
        scores = torch.ones(F, J) if given is None else torch.tensor(given[c], dtype=torch.float32)
        visible = scores > 0
    if source == "mixture" and clip.mixtures is not None:
        mixtures = torch.from_numpy(clip.mixtures[c])
        visible = torch.ones_like(visible)
    counts = visible.sum(-1) >= minimum_visible
    if clip.valid is not None:
        counts &= torch.from_numpy(clip.valid)
    frame, keypoints, target = torch.arange(F), keypoints.float(), target.float()
    return View(keypoints, target, visible, frame, points, scores, mixtures, counts)


def in_image(keypoints: Tensor, target: Tensor, size: Tensor) -> Tensor:
    """Mask (..., J) of joints in front of the camera and within an image of `size` (..., 2)."""
    size = size.unsqueeze(-2)
    inside = ((target >= -0.5) & (target < size - 0.5)).all(-1)
    return inside & (keypoints[..., 2] > 0)

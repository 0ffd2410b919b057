"""A file of one's own 2D keypoints through a lifter: poses.npz, poses.json and pictures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posediff.diffusion import Model, Poses
from posediff.files import safe_name
from posediff.inference.keypoint_files import read_keypoints
from posediff.inference.lift import FEWEST, Tracks, lifted
from posediff.inference.lifting_input import intrinsics
from posediff.inference.pose_files import write_poses
from posediff.inference.request import Request, folder_of
from posediff.pose.skeleton import skeleton
from posediff.sample import take
from posediff.visual.pose3d import draw_pose3d, write_picture

LISTED = 10  # of what was left out, by name
PICTURES = 12  # of so many frames, evenly spaced


class KeypointFile:
    """A `Reader` for lift3d. Frames without anybody, and people with too few joints, are listed at
    the end."""

    def __init__(self, request: Request) -> None:
        self.request, self.layout = request, skeleton(request.layout, "layout")
        self.size = None if request.image_size is None else image_size(request.image_size)
        camera = request.camera
        self.camera = None if camera is None else intrinsics(camera).tolist()
        self.file = read_keypoints(request.input, len(self.layout.joints))

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        request, file = self.request, self.file
        points, scores = torch.from_numpy(file.points), torch.from_numpy(file.scores)
        tracks, frames = torch.from_numpy(file.tracks), torch.from_numpy(file.frames)
        rows = Tracks(points, scores, tracks, frames, file.names)
        every, found, sample = lifted(
            model, rows, self.layout.name, self.size, self.camera, seed=request.seed
        )
        poses, names = every[found], take(file.names, found.nonzero()[:, 0])
        few = take(file.names, (~found).nonzero()[:, 0])
        bones, folder = skeleton(model.head.skeleton), folder_of(request)
        meta = {
            "input": request.input,
            "layout": self.layout.name,
            "image_size": self.size,
            "camera": self.camera,
            **about,
            "steps": model.steps,
            "K": model.hypotheses,
            "seed": request.seed,
            "empty_frames": file.empty,
            "too_few_joints": few,
        }
        own, when = tracks[found].numpy(), frames[found].numpy()
        written = write_poses(folder, poses, names, bones, meta, own, when)
        people, spread = len(set(own.tolist())), 1000 * float(poses.spread.mean())
        yield (
            f"{len(names)} poses of {bones.name} in {people} track{'s' * (people > 1)}, "
            f"{model.hypotheses} hypotheses, spread {spread:.1f} mm"
        )
        yield from map(str, [*written, *_pictures(folder, poses, names, sample)])
        if few:
            yield f"{len(few)} left out with fewer than {FEWEST} joints: {listed(few)}"
        if file.empty:
            yield f"nobody in {len(file.empty)} frames: {listed(file.empty)}"


def _pictures(
    folder: Path, poses: Poses, names: Sequence[str], sample: Mapping[str, Any]
) -> Iterator[Path]:
    """Pictures of at most PICTURES rows, evenly spaced, with the 2D that the lifter was shown."""
    for i in range(0, len(names), max(1, -(-len(names) // PICTURES))):
        known = sample["visible"][i, :, None] > 0
        points = torch.where(known, sample["keypoints_2d"][i], torch.nan)
        size, bones = sample["image_size"][i], skeleton(poses.skeleton)
        path = folder / f"{safe_name(names[i])}.png"
        write_picture(path, draw_pose3d(points, size, poses[i], bones))
        yield path


def listed(names: Sequence[str]) -> str:
    """The first of them, and how many more."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def image_size(given: Any) -> tuple[float, float]:
    """Width and height in pixels. Raises ValueError for anything but two positive numbers."""
    try:
        width, height = (float(x) for x in given)
    except (TypeError, ValueError):
        width = height = 0.0
    if not (width > 0 and height > 0):
        raise ValueError(f"image_size must be [width,height] in pixels, got {given}")
    return width, height

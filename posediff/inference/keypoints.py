"""A file of a user's own 2D keypoints through a lifter: poses.npz, poses.json and drawings, called
*_pose.png, so that they replace no picture that they were made of."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posediff import processes
from posediff.diffusion import Model, Poses
from posediff.files import safe_names
from posediff.inference.keypoint_files import keypoint_files, read_keypoints
from posediff.inference.keypoint_units import Units
from posediff.inference.lift import FEWEST, lifted
from posediff.inference.lifting_input import Tracks, image_size, intrinsics
from posediff.inference.plausible import doubts
from posediff.inference.pose_files import NAMES, write_poses
from posediff.inference.request import Request, output_folder
from posediff.inference.tools.joint_names import belong, in_order, names_in
from posediff.outputs.places import refuse_inputs
from posediff.people.budget import POINT, expected
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.sample import take
from posediff.visual.pose3d import draw_pose3d, write_picture

LISTED = 10  # names of rows or frames without a pose, at most
TIMED = 64  # rows, at most, on which the time of all is expected
DRAWN = 12  # rows, at most, evenly spaced
DRAWING = "{}_pose.png"
WRITTEN = (*NAMES, DRAWING.format("*"))


class KeypointFile:
    """A `Reader` for lift3d. Frames without people, and people with too few joints, are listed at
    the end."""

    reads = ("layout", "image_size", "camera", "units")

    def __init__(self, request: Request) -> None:
        given = Path(request.input)
        files = keypoint_files(given) if given.is_dir() else [given]
        refuse_inputs(Path(request.output), WRITTEN, files, "output=FOLDER")
        self.request, self.layout = request, skeleton(request.layout, "layout")
        self.size = None if request.image_size is None else image_size(request.image_size)
        camera = request.camera
        self.camera = None if camera is None else intrinsics(camera).tolist()
        self.rows = rows_of(request.input, self.layout, request.units, self.size)
        if request.units not in (None, "pixels"):
            self.size = None  # it was that of the unit: each person is in an image of their own

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        if not processes.first():
            return  # one process lifts thousands of rows a second
        request, rows = self.request, self.rows
        count = len(rows.names)
        for doubt in doubts(rows.points, rows.scores, self.layout, self.size):
            yield f"warning: {doubt}"
        what, rows_at_once = f"{count} rows of keypoints", min(count, TIMED)
        yield expected({"lift3d": model}, count, what, POINT, rows=rows_at_once)
        every, found, sample = lifted(
            model, rows, self.layout.name, self.size, self.camera, seed=request.seed
        )
        poses, names = every[found], take(rows.names, found.nonzero()[:, 0])
        few = take(rows.names, (~found).nonzero()[:, 0])
        bones, folder = skeleton(model.head.skeleton), output_folder(request)
        meta = {
            "input": request.input,
            "layout": self.layout.name,
            "image_size": self.size,
            "camera": self.camera,
            **about,
            "steps": model.steps,
            "K": model.hypotheses,
            "seed": request.seed,
            "empty_frames": rows.empty,
            "too_few_joints": few,
            "notes": [*rows.notes, *rows.left_out],
        }
        tracks, frames = rows.tracks[found].numpy(), rows.frames[found].numpy()
        written = write_poses(folder, poses, names, bones, meta, tracks, frames)
        people, spread = len(set(tracks.tolist())), 1000 * float(poses.spread.mean())
        yield (
            f"{len(names)} poses of {bones.name} in {people} track{'s' * (people > 1)}, "
            f"{model.hypotheses} hypotheses, spread {spread:.1f} mm"
        )
        yield from map(str, [*written, *_drawings(folder, poses, names, sample)])
        if few:
            yield f"{len(few)} left out with fewer than {FEWEST} joints: {listed(few)}"
        if rows.empty:
            yield f"no person in {len(rows.empty)} frames: {listed(rows.empty)}"
        yield from rows.notes
        if rows.left_out:
            raise ValueError(f"{len(rows.left_out)} files left out: {'; '.join(rows.left_out)}")


def rows_of(
    path: str | Path,
    layout: Skeleton,
    units: Units | None = None,
    size: Sequence[float] | None = None,
) -> Tracks:
    """The 2D keypoints of a file in the order of the layout, by the names of the joints if the file
    says them. Raises as `read_keypoints` and `joint_names.belong`."""
    names = names_in(path)
    if not belong(path, names, layout):
        return read_keypoints(path, len(layout.joints), layout, units, size)
    rows = read_keypoints(path, len(names), None, units, size)
    points, scores = in_order(rows.points, rows.scores, names, layout)
    return rows._replace(points=points, scores=scores)


def _drawings(
    folder: Path, poses: Poses, names: Sequence[str], sample: Mapping[str, Any]
) -> Iterator[Path]:
    """At most DRAWN rows, evenly spaced, with the 2D that the lifter read."""
    files = safe_names(names)
    for i in range(0, len(names), max(1, -(-len(names) // DRAWN))):
        known = sample["visible"][i, :, None] > 0
        points = torch.where(known, sample["keypoints_2d"][i], torch.nan)
        size, bones = sample["image_size"][i], skeleton(poses.skeleton)
        path = folder / DRAWING.format(files[names[i]])
        write_picture(path, draw_pose3d(points, size, poses[i], bones))
        yield path


def listed(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more

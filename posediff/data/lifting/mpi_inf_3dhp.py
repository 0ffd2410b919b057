"""MPI-INF-3DHP: for training eight people, two sequences each, seen by eight cameras; for the test
six sequences of other people, two of them outdoors.

The file `mpi_inf_3dhp.h5`, which scripts/prepare_mpi_inf_3dhp.py writes once, contains

    /<subject>/<sequence>/<camera>/keypoints_2d   (F, 17, 2) float32   pixels, as annotated
                                  /annot3         (F, 17, 3) float32   camera metres, true size
                                  /univ_annot3    (F, 17, 3) float32   one height for all people
                                  /valid          (F,) uint8   test: 1 if the frame is scored
                                  /activity       (F,) uint8   test: its number, from 1

with attributes intrinsics (9), pixels, and size (2) of every camera. One of the two 3D annotations
may be missing. They are not comparable: only annot3 projects onto the 2D by the camera.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.lifting.lifting_dataset import LiftingDataset, LiftingOptions
from posediff.data.lifting.prepared import opened, subjects, writing
from posediff.data.lifting.views import Clip
from posediff.diffusion.choices import one_of
from posediff.doors.hdf5_door import Group
from posediff.pose.camera import Camera

Array = NDArray[np.float32]

TRAIN = tuple(f"S{n}" for n in range(1, 9))
VALID = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}  # scored frames
ACTIVITIES = (
    "Standing/Walking", "Exercising", "Sitting", "Reaching/Crouching", "On The Floor", "Sports",
    "Miscellaneous",
)  # fmt: skip
ANNOTATIONS = ("annot3", "univ_annot3")
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)  # of 14: at chest height, used in all published tables
JOINTS = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)  # of 28, for 3dhp17
# of the test cameras, in mm: focal length, centre relative to the middle, size of the sensor
STUDIO = (7.32506, (-0.0322884, 0.0929296), (10.0, 10.0), (2048, 2048))
OUTDOORS = (8.770747185, (-0.104908645, 0.104899704), (10.0, 5.625), (1920, 1080))
FORMAT = {"format": "posediff-mpi-inf-3dhp", "version": 1, "skeleton": "3dhp17", "unit": "metre"}
SOURCE = "the data set's own FOLDER"


@dataclass
class Shot:
    """A sequence in one camera, as it is written."""

    subject: str
    sequence: str
    camera: str
    intrinsics: NDArray[np.float64]  # (9,) pixels
    size: tuple[int, int]
    keypoints_2d: Array  # (F, 17, 2) pixels
    poses: dict[str, Array]  # by ANNOTATIONS, (F, 17, 3) camera metres
    flags: dict[str, NDArray[np.uint8]] = field(default_factory=dict)  # valid, activity, (F,)


def mpi_inf_3dhp(
    root: str | Path,
    split: Literal["train", "validation", "test"] = "train",
    annotation: str = "univ_annot3",
    keypoints: Literal["gt", "noisy"] = "gt",
    validation: str | None = "S8",
    skeleton: str = "3dhp17",
    **options: Unpack[LiftingOptions],
) -> LiftingDataset:
    """The samples of a split: train S1 .. S8 without `validation`, the one of them to select models
    on (None: train on all), test the valid frames of TS1 .. TS6.

    annotation: the 3D annotation that is the truth. keypoints: gt, the annotated 2D, or noisy.
    skeleton: 3dhp17. Windows contain all frames, of which the valid ones are scored.

    Raises FileNotFoundError if the file is missing, ValueError if it lacks what is chosen here.
    """
    path, people = Path(root) / "mpi_inf_3dhp.h5", subjects(split, validation, TRAIN, tuple(VALID))
    one_of("dataset.skeleton", skeleton, ["3dhp17"])
    one_of("dataset.annotation", annotation, ANNOTATIONS)
    one_of("dataset.keypoints", keypoints, ("gt", "noisy"))
    return LiftingDataset(
        list(read(path, people, annotation)),
        skeleton=skeleton,
        keypoints=keypoints,
        training=split == "train",
        minimum_visible=0,
        about={"annotation": annotation},
        **options,
    )


def lens(subject: str) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Intrinsics (9,) in pixels and image size of the camera of a test subject, TS1 .. TS6."""
    focal, centre, sensor, size = OUTDOORS if subject in ("TS5", "TS6") else STUDIO
    per_mm = np.divide(size, sensor)
    middle = np.multiply(centre, per_mm) + np.divide(size, 2)
    return np.concatenate([focal * per_mm, middle, np.zeros(5)]), size


def read(path: Path, people: Iterable[str], annotation: str) -> Iterator[Clip]:
    """The clips of these people, one per camera, in its axes. Raises ValueError if the file has
    none, or not this annotation."""
    with opened(path, FORMAT, "prepare_mpi_inf_3dhp.py", SOURCE, "3dhp") as file:
        present = [subject for subject in people if subject in file]
        if not present:
            raise ValueError(f"{path}: none of {', '.join(people)}, only {', '.join(file.names())}")
        for subject in present:
            for sequence, cameras in file.group(subject).groups().items():
                for camera, view in cameras.groups().items():
                    if annotation not in view:
                        other = ", ".join(s for s in ANNOTATIONS if s in view) or "none"
                        raise ValueError(
                            f"{path}: no {annotation} of {subject}/{sequence}/{camera}, only "
                            f"{other}: set dataset.annotation={other}, or prepare the original "
                            ".mat files, which contain both"
                        )
                    intrinsics = torch.from_numpy(view.numbers("intrinsics", 9)).float()
                    size = torch.from_numpy(view.numbers("size", 2)).float()
                    if not (intrinsics[:2] > 0).all() or not (size > 0).all():
                        raise view.error("its focal length and size must be above 0")
                    world = view.array(annotation, -1, 17, 3)
                    activities = flags(view, "activity", len(world), 1, len(ACTIVITIES))
                    valid = flags(view, "valid", len(world), 0, 1)
                    yield Clip(
                        name=sequence,
                        subject=subject,
                        action=[ACTIVITIES[n - 1] for n in activities] if activities else sequence,
                        world=world,
                        cameras=[Camera(torch.eye(3), torch.zeros(3), intrinsics, size)],
                        camera_names=[camera],
                        annotated=[view.array("keypoints_2d", len(world), 17, 2)],
                        valid=None if valid is None else np.array(valid) == 1,
                    )


def flags(view: Group, name: str, frames: int, low: int, high: int) -> list[int] | None:
    """The integers in low .. high of an array (F,), None if there is none."""
    if name not in view:
        return None
    found = view.array(name, frames)
    if found.dtype.kind not in "iu" or (
        found.size and not low <= found.min() <= found.max() <= high
    ):
        raise view.error(f"{name} must be integers in {low} .. {high}")
    values: list[int] = found.tolist()
    return values


def write(path: Path, shots: Iterable[Shot]) -> None:
    """Write the file, with the shots in their order."""
    with writing(path, FORMAT) as file:
        for shot in shots:
            group = file
            for name in (shot.subject, shot.sequence, shot.camera):
                group = group.get(name) or group.create_group(name, track_order=True)
            group.attrs.update({"intrinsics": shot.intrinsics, "size": shot.size})
            for name, array in {"keypoints_2d": shot.keypoints_2d, **shot.poses}.items():
                group.create_dataset(name, data=array, dtype="f4")
            for name, flag in shot.flags.items():
                group.create_dataset(name, data=flag, dtype="u1")

"""MPI-INF-3DHP: eight people, two sequences each, seen by eight cameras, to train on; six sequences
of others, two of them outdoors, to test on.

The file `mpi_inf_3dhp.h5`, which scripts/prepare_mpi_inf_3dhp.py writes once, holds

    /<subject>/<sequence>/<camera>/keypoints_2d   (F, 17, 2) float32   pixels, as annotated
                                  /annot3         (F, 17, 3) float32   camera metres, true scale
                                  /univ_annot3    (F, 17, 3) float32   of one height for everybody
                                  /valid          (F,) uint8   test: 1 where the frame is scored
                                  /activity       (F,) uint8   test: its number, from 1

with attributes intrinsics (9), pixels, and size (2) of every camera. There may be one of the two 3D
annotations alone. They are not comparable: only annot3 fits the 2D by the camera where it stands.
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
from posediff.pose.camera import Camera

Array = NDArray[np.float32]

TRAIN = tuple(f"S{n}" for n in range(1, 9))
VALID = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}  # scored frames
ACTIVITIES = (
    "Standing/Walking", "Exercising", "Sitting", "Reaching/Crouching", "On The Floor", "Sports",
    "Miscellaneous",
)  # fmt: skip
SCALES = ("annot3", "univ_annot3")
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)  # of 14: at the height of the chest, in everybody's tables
JOINTS = (7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6)  # of 28, for 3dhp17
# of the test cameras, in mm: focal length, centre relative to the middle, size of the sensor
STUDIO = (7.32506, (-0.0322884, 0.0929296), (10.0, 10.0), (2048, 2048))
OUTDOORS = (8.770747185, (-0.104908645, 0.104899704), (10.0, 5.625), (1920, 1080))
FORMAT = {"format": "posediff-mpi-inf-3dhp", "version": 1, "skeleton": "3dhp17", "unit": "metre"}
SOURCE = "the data set's own FOLDER"


@dataclass
class Shot:
    """A sequence in one camera."""

    subject: str
    sequence: str
    camera: str
    intrinsics: NDArray[np.float64]  # (9,) pixels
    size: tuple[int, int]
    keypoints_2d: Array  # (F, 17, 2) pixels
    poses: dict[str, Array]  # by SCALES, (F, 17, 3) camera metres
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
    """The samples of a split: train S1 .. S8 without `validation`, which is one of them to select
    models on (None: train on all), test the valid frames of TS1 .. TS6.

    annotation: which 3D annotation is the truth. keypoints: gt, the annotated 2D, or noisy.
    skeleton: 3dhp17. Windows show all frames, of which the valid ones are scored.
    """
    path, people = Path(root) / "mpi_inf_3dhp.h5", subjects(split, validation, TRAIN, tuple(VALID))
    one_of("dataset.skeleton", skeleton, ["3dhp17"])
    one_of("dataset.annotation", annotation, SCALES)
    one_of("dataset.keypoints", keypoints, ("gt", "noisy"))
    return LiftingDataset(
        [_clip(shot, annotation) for shot in read(path, people, annotation)],
        skeleton=skeleton,
        keypoints=keypoints,
        training=split == "train",
        minimum_visible=0,
        about={"annotation": annotation},
        **options,
    )


def lens(subject: str) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Intrinsics (9,) in pixels and picture size of the camera of TS1 and so on."""
    focal, centre, sensor, size = OUTDOORS if subject in ("TS5", "TS6") else STUDIO
    per_mm = np.divide(size, sensor)
    middle = np.multiply(centre, per_mm) + np.divide(size, 2)
    return np.concatenate([focal * per_mm, middle, np.zeros(5)]), size


def read(path: Path, people: Iterable[str], annotation: str) -> Iterator[Shot]:
    """The shots of these people. Raises ValueError if the file has none, or not this annotation."""
    with opened(path, FORMAT, "prepare_mpi_inf_3dhp.py", SOURCE, "3dhp") as file:
        present = [subject for subject in people if subject in file]
        if not present:
            raise ValueError(f"{path}: nobody of {', '.join(people)}, only {', '.join(file)}")
        for subject in present:
            for sequence, cameras in file[subject].items():
                for camera, view in cameras.items():
                    if annotation not in view:
                        known = ", ".join(s for s in SCALES if s in view)
                        raise ValueError(
                            f"{path}: no {annotation} of {subject}/{sequence}/{camera}, only "
                            f"{known}: set dataset.annotation={known}, or prepare the original "
                            ".mat files, which hold both"
                        )
                    flags = {k: view[k][()] for k in ("valid", "activity") if k in view}
                    yield Shot(
                        subject,
                        sequence,
                        camera,
                        view.attrs["intrinsics"],
                        tuple(view.attrs["size"]),
                        view["keypoints_2d"][()],
                        {annotation: view[annotation][()]},
                        flags,
                    )


def write(path: Path, shots: Iterable[Shot]) -> None:
    """The file, with the shots in their order, beside its place and then renamed."""
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


def _clip(shot: Shot, annotation: str) -> Clip:
    """Every camera has its own annotations, so every shot is a clip, in the camera's own axes."""
    camera = Camera(
        rotation=torch.eye(3),
        translation=torch.zeros(3),
        intrinsics=torch.tensor(shot.intrinsics, dtype=torch.float32),
        size=torch.tensor(shot.size, dtype=torch.float32),
    )
    action: str | list[str] = shot.sequence
    if "activity" in shot.flags:
        action = [ACTIVITIES[n - 1] for n in shot.flags["activity"].tolist()]
    return Clip(
        name=shot.sequence,
        subject=shot.subject,
        action=action,
        world=shot.poses[annotation],
        cameras=[camera],
        camera_names=[shot.camera],
        annotated=[shot.keypoints_2d],
        valid=shot.flags["valid"] == 1 if "valid" in shot.flags else None,
    )

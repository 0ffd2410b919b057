"""Human3.6M: seven people, fifteen actions twice each, four cameras, 50 frames per second.

The file `h36m.h5`, which scripts/prepare_h36m.py writes once, contains

    /<subject>/<clip>/world       (F, 17, 3) float32   metres, z up
    /<subject>/<clip>/<2D source> (4, F, 17, 2) float32   pixels, cameras in the order of SIZES

for clips such as "Walking 1", an action and its take. The true 2D is not stored: it is the
projection of the 3D by the published cameras.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from posediff.data.lifting.h36m_cameras import SIZES, cameras
from posediff.data.lifting.lifting_dataset import LiftingDataset, LiftingOptions
from posediff.data.lifting.mixtures import add_mixtures, is_file
from posediff.data.lifting.prepared import opened, subjects, writing
from posediff.data.lifting.views import Clip, Source
from posediff.diffusion.choices import one_of

Array = NDArray[np.float32]
Named = tuple[str, str, dict[str, Array]]  # subject, clip, its entries in the file

TRAIN, TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases",
    "Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether",
)  # fmt: skip
BROKEN = ("S11", "Directions")  # a corrupt recording, never scored
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)  # of the 32 recorded joints
FORMAT = {"format": "posediff-h36m", "version": 1, "skeleton": "h36m17", "unit": "metre", "fps": 50}

SOURCE = "a FOLDER with data_3d_h36m.npz and data_2d_h36m_*.npz, or with the .cdf files"
PROJECTED: dict[str, Source] = {"gt": "gt", "noisy": "noisy"}  # 2D that needs no detections


def h36m(
    root: str | Path,
    split: Literal["train", "validation", "test"] = "train",
    keypoints: str = "cpn",
    validation: str | None = "S8",
    skeleton: str = "h36m17",
    **options: Unpack[LiftingOptions],
) -> LiftingDataset:
    """The samples of a split: train S1 S5 S6 S7 S8 without `validation`, the one of them to select
    models on (None: train on all five), test S9 S11.

    keypoints: gt, noisy (by `noise`), a 2D source in the file, such as cpn, or a file of mixtures.
    Every frame of every camera counts, none is left out. skeleton: h36m17.

    Raises FileNotFoundError if a file is missing, ValueError if it lacks what is chosen here.
    """
    one_of("dataset.skeleton", skeleton, ["h36m17"])
    path, people = Path(root) / "h36m.h5", subjects(split, validation, TRAIN, TEST)
    kind = "mixture" if is_file(keypoints) else PROJECTED.get(keypoints, "detected")
    source = keypoints if kind == "detected" else None
    clips = list(read(path, people, source))
    if kind == "mixture":
        add_mixtures(clips, keypoints, skeleton)
    return LiftingDataset(
        clips,
        skeleton=skeleton,
        keypoints=kind,
        training=split == "train",
        minimum_visible=0,
        label=keypoints,
        **options,
    )


def clip_name(recorded: str) -> str:
    """The usual name of a clip, from the name of its recording."""
    return recorded.replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog")


def action(clip: str) -> str:
    """The action of a clip: "Walking" for "Walking" and "Walking 1", not for "WalkDog"."""
    return clip.split(" ")[0]


def read(path: Path, people: Iterable[str], source: str | None = None) -> Iterator[Clip]:
    """The clips of these people, with the 2D of `source`. Raises ValueError if one is missing."""
    with opened(path, FORMAT, "prepare_h36m.py", SOURCE, "h36m") as file:
        for subject in people:
            if subject not in file:
                raise ValueError(
                    f"{path}: no clips of {subject}, only of {', '.join(file.names())}"
                )
            for name, entries in file.group(subject).groups().items():
                if source is not None and source not in entries:
                    present = ", ".join([*PROJECTED, *(e for e in entries.names() if e != "world")])
                    raise ValueError(
                        f"{path}: no 2D source {source!r} in {subject}/{name}, only {present}: put "
                        f"data_2d_h36m_{source}*.npz beside data_3d_h36m.npz and prepare it again"
                    )
                world = entries.array("world", -1, len(KEPT), 3)
                seen = len(SIZES), len(world), len(KEPT), 2
                yield Clip(
                    name=name,
                    subject=subject,
                    action=action(name),
                    world=world,
                    cameras=cameras(subject),
                    camera_names=list(SIZES),
                    detections=None if source is None else list(entries.array(source, *seen)),
                )


def write(path: Path, clips: Iterable[Named]) -> None:
    """Write the file, with the clips in their order."""
    with writing(path, FORMAT | {"cameras": list(SIZES)}) as file:
        for subject, clip, entries in clips:
            group = file.get(subject) or file.create_group(subject, track_order=True)
            for name, array in entries.items():
                group.create_dataset(f"{clip}/{name}", data=array, dtype="f4")

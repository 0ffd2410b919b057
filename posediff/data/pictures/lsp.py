"""Leeds Sports Pose and its extension: joints.mat and pictures of about one person each.

    LSP     joints (3, 14, 2000)   third value 1 = occluded, the place is good all the same
    LSPET   joints (14, 3, 10000)  third value 1 = labelled, 0 = absent, the place is often negative

Either order of the axes is read. The joints have CrowdPose's names, right side of the person first
in the file (person-centric, as published), and come out in CrowdPose's order. There is no box and
no area: a person is the extent of the labelled joints with a margin (`annotations.joint_box`), and
.53 of it. Whether the coordinates count from 0 or 1 is not known; they are taken as they are.
"""

from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.matlab import read_array
from posediff.data.pictures import picture_files
from posediff.data.pictures.annotations import (
    BODY,
    Annotations,
    Array,
    Picture,
    joint_box,
    no_heads,
)
from posediff.data.pictures.coco_format import dataset, held_out
from posediff.data.pictures.top_down import SPLITS, Options, Split, TopDownDataset
from posediff.diffusion.choices import one_of
from posediff.pose.layout import by_names
from posediff.pose.skeleton import skeleton as skeleton_named

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck",
    "head_top",
)  # fmt: skip
Flag = Literal["occluded", "labelled"]
SKELETON = "crowdpose14"
# A picture's name, what the third value says, the part of the people that is for training.
OWN: tuple[str, Flag, float] = ("im{:04d}.jpg", "occluded", 0.5)
EXTENDED: tuple[str, Flag, float] = ("im{:05d}.jpg", "labelled", 0.9)


def lsp(
    root: str | Path,
    split: Split = "train",
    boxes: str = "gt",
    validation: float = 0.05,
    extended: bool = False,
    skeleton: str = SKELETON,
    **options: Unpack[Options],
) -> TopDownDataset:
    """joints.mat and images/im0001.jpg ... (LSPET: im00001.jpg) below root.

    Of LSP's 2,000 people the first half is for training, the second half is the test. LSPET has no
    test part; ours is the last tenth. A part `validation` of the people for training is kept back.
    skeleton: crowdpose14.
    """
    one_of("split", split, SPLITS)
    one_of("dataset.skeleton", skeleton, [SKELETON])
    root, folder = Path(root), Path(root) / "images"
    name, flag, train = EXTENDED if extended else OWN
    people = read(root / "joints.mat", folder, name, flag)
    for_training = np.arange(len(people.ids)) < round(train * len(people.ids))
    people = people.within(~for_training if split == "test" else for_training)
    if split != "test":
        people = held_out(people, split, validation)
    return dataset(people, folder, split, boxes, root, **options)


def read(path: Path, folder: Path, name: str, flag: Flag) -> Annotations:
    """The people of a joints.mat. name: of a picture in `folder`, with a place for its number."""
    points, third = _joints(path, flag)
    occluded = third > 0 if flag == "occluded" else np.zeros_like(third, bool)
    absent = third == 0 if flag == "labelled" else np.zeros_like(third, bool)
    flags = np.where(absent, 0, 2 - occluded).astype(np.float64)
    own = skeleton_named(SKELETON)
    ordered, visible = by_names(torch.from_numpy(points), torch.from_numpy(flags), JOINTS, own)
    keypoints = torch.where(visible[..., None] > 0, ordered, 0.0).numpy()
    N = len(keypoints)
    files = [name.format(n) for n in range(1, N + 1)]
    extents = [picture_files.size(folder / file) for file in files]
    shown = [Picture(n, files[n - 1], *extent) for n, extent in enumerate(extents, 1)]
    sizes = np.array(extents, np.float64)
    boxes = joint_box(keypoints, visible.numpy() > 0, sizes)
    return Annotations(
        path=path,
        skeleton=own,
        pictures=shown,
        picture=np.arange(N),
        ids=np.arange(1, N + 1),
        keypoints=keypoints,
        visible=visible.numpy().astype(np.int8),
        boxes=boxes,
        area=BODY * boxes[:, 2] * boxes[:, 3],
        labelled=(visible > 0).sum(1).numpy(),
        crowd=np.zeros(N, np.bool_),
        heads=no_heads(N),
    )


def _joints(path: Path, flag: Flag) -> tuple[Array, NDArray[np.float64]]:
    """(N, 14, 2) and (N, 14), in the file's order of joints."""
    joints = read_array(path, "joints", "LSP or LSPET")
    shape = joints.shape
    if len(shape) != 3 or sorted(shape[:2]) != [3, 14]:
        raise ValueError(f"{path}: joints is of shape {shape}, not (3, 14, N) or (14, 3, N)")
    x, y, third = np.moveaxis(joints, shape.index(3), 0).swapaxes(1, 2)
    if not np.isfinite(joints).all() or not np.isin(third, (0, 1)).all():
        raise ValueError(f"{path}: joints must be finite, and their third values 0 or 1")
    if (third.mean() > 0.5) != (flag == "labelled"):
        other = "LSPET, where 1 is labelled" if flag == "occluded" else "LSP, where 1 is occluded"
        raise ValueError(
            f"{path}: {third.mean():.0%} of the third values are 1, as in {other}: is it its file?"
        )
    return np.stack([x, y], -1), third

"""Leeds Sports Pose and its extension: joints.mat, and images of about one person each.

    LSP     joints (3, 14, 2000)   third value 1 = occluded, the position is valid all the same
    LSPET   joints (14, 3, 10000)  third value 1 = labelled, 0 = absent, position often negative

Both orders of the axes are read. The joints are CrowdPose's; in the file those of the person's
right side are first (person-centric, as published). There is no box and no area: a box is the
extent of the labelled joints with a margin (`joint_box`), the area .53 of it. The
sources do not state whether coordinates count from 0 or 1; they are used unchanged.
"""

from pathlib import Path
from typing import Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from posediff.data.matlab import read_array
from posediff.data.pictures.annotation_entries import Array
from posediff.data.pictures.annotations import Annotations, checked
from posediff.data.pictures.coco_format import held_out
from posediff.data.pictures.top_down import SPLITS, Options, Split, TopDownDataset
from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import skeleton as skeleton_named

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck",
    "head_top",
)  # fmt: skip
Flag = Literal["occluded", "labelled"]
SKELETON = "crowdpose14"
# name of an image file, meaning of the third value 1, part of the people that is for training
OWN: tuple[str, Flag, float] = ("im{:04d}.jpg", "occluded", 0.5)
EXTENDED: tuple[str, Flag, float] = ("im{:05d}.jpg", "labelled", 0.9)


def lsp(
    root: str | Path,
    split: Split = "train",
    validation: float = 0.05,
    extended: bool = False,
    skeleton: str = SKELETON,
    **options: Unpack[Options],
) -> TopDownDataset:
    """LSP or LSPET: joints.mat and images/im0001.jpg ... (LSPET: im00001.jpg) below root.

    The first half of LSP's 2,000 people is for training, the second half is the test. LSPET has no
    test part; ours is the last tenth. A part `validation` of the people for training is held out.
    skeleton: crowdpose14 only. Raises as the functions of `coco_format`.
    """
    one_of("split", split, SPLITS)
    one_of("dataset.skeleton", skeleton, [SKELETON])
    root, folder = Path(root), Path(root) / "images"
    name, flag, train = EXTENDED if extended else OWN
    people, count = read(root / "joints.mat", folder, name, flag)
    # by number, so that nobody changes sides where a picture is left out
    numbers = np.array([picture.id for picture in people.pictures], np.int64)
    for_training = numbers <= round(train * count)
    people = people.subset(~for_training if split == "test" else for_training)
    if split != "test":
        people = held_out(people, split, validation)
    return TopDownDataset(people, folder, split == "train", root, **options)


def read(path: Path, folder: Path, name: str, flag: Flag) -> tuple[Annotations, int]:
    """People of a joints.mat, and how many it has, with those that are left out. name: of an image
    file in `folder`, to be formatted with its number, from 1.

    Raises FileNotFoundError if a file is missing, ValueError if joints.mat cannot be used.
    """
    points, third = _joints(path, flag)
    visible = 2 - third if flag == "occluded" else 2 * third
    triples = np.concatenate([points, visible[..., None]], -1).reshape(len(points), -1).tolist()
    data = {
        "images": [{"id": n, "file_name": name.format(n)} for n in range(1, len(points) + 1)],
        "categories": [{"id": 1, "keypoints": list(JOINTS)}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "keypoints": values}
            for n, values in enumerate(triples, 1)
        ],
    }
    return checked(path, data, skeleton_named(SKELETON), folder, "0.53*w*h"), len(points)


def _joints(path: Path, flag: Flag) -> tuple[Array, NDArray[np.float64]]:
    """Points (N, 14, 2) and third values (N, 14), joints in the order of the file."""
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
            f"{path}: {third.mean():.0%} of the third values are 1, as in {other}: is it the "
            "right file?"
        )
    return np.stack([x, y], -1), third

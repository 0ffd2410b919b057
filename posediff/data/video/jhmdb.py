"""JHMDB and sub-JHMDB as they are downloaded.

    joint_positions/ACTION/CLIP/joint_positions.mat   pos_img (2, 15, T), pixels from 1
    puppet_mask/ACTION/CLIP/puppet_mask.mat           part_mask (h, w, T), around it the box
    Rename_Images/ACTION/CLIP/00001.png ...           frames; or CLIP.avi beside such a folder
    splits/ACTION_test_split1.txt, sub_splits/ACTION_test_split_1.txt
                                                      lines "CLIP.avi 1", 1 = train, 2 = test

Joints are those of jhmdb15. The files also have joints outside the image; they are not labelled.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from posediff.data.matlab import read_array
from posediff.data.pictures.top_down import SPLITS, Split
from posediff.data.video.clip_dataset import ClipDataset, ClipOptions
from posediff.data.video.custom_video import held_out
from posediff.data.video.footage import assembled
from posediff.diffusion.choices import one_of
from posediff.files import inside, read_text
from posediff.pose.skeleton import skeleton as skeleton_named

Box = Literal["mask", "joints"]

PICTURE = (320, 240)  # width and height of all clips
FOLDERS = {"sub": "sub_splits", "full": "splits"}
FILM = r"(.+)_[fhlu]_[cn]m_np\d_.*"  # a clip's name starts with the film that it was cut from


def jhmdb(
    root: str | Path,
    split: Split = "train",
    part: Literal["sub", "full"] = "sub",
    number: int = 1,
    box: Box = "mask",
    images: str = "Rename_Images",
    validation: float = 0.05,
    skeleton: str = "jhmdb15",
    **options: Unpack[ClipOptions],
) -> ClipDataset:
    """One of three splits of sub-JHMDB, where whole people are visible, or of the full set.
    Published results are the mean over the splits.

    number: of the split. box: of a person, around its mask, or around its joints with a margin.
    A part `validation` of the training clips is held out, clips of one film together. skeleton:
    jhmdb15 only.
    Raises FileNotFoundError if a file is missing, ValueError if its content or an option cannot be
    used.
    """
    one_of("split", split, SPLITS)
    one_of("dataset.part", part, FOLDERS)
    one_of("dataset.box", box, get_args(Box))
    if number not in (1, 2, 3):
        raise ValueError(f"dataset.number must be 1, 2 or 3, got {number!r}")
    one_of("dataset.skeleton", skeleton, ["jhmdb15"])
    root, layout = Path(root), skeleton_named(skeleton)
    lists = root / FOLDERS[part]
    contents = (
        (_joints_of(root, action, clip), partial(_document, root, action, clip, images, box))
        for action, clip, use in _listed(lists, number)
        if use == (2 if split == "test" else 1)
    )
    footage = assembled(lists, contents, layout, root, origin=1, first=1)
    if split != "test":
        footage = held_out(footage, split, validation, FILM)
    return ClipDataset(footage, root, split == "train", root, **options)


def _listed(folder: Path, number: int) -> Iterator[tuple[str, str, int]]:
    """Actions, clips and their use: 1 in training, 2 in the test."""
    found = sorted(folder.glob(f"*_test_split*{number}.txt"))
    files = [path for path in found if not path.name.startswith(".")]
    if not files:
        raise FileNotFoundError(
            f"{folder}: no file *_test_split*{number}.txt: look at dataset.root"
        )
    for path in files:
        action = path.name.partition("_test_split")[0]
        for n, line in enumerate(read_text(path).splitlines(), 1):
            clip, _, use = line.strip().rpartition(" ")
            if not line.strip():
                continue
            if not clip.endswith(".avi") or use not in ("0", "1", "2"):
                raise ValueError(
                    f"{path}: line {n}: must be CLIP.avi and 1 or 2, not {line[:80]!r}"
                )
            inside(folder, clip, f"{path}: line {n}")
            yield action, clip.removesuffix(".avi"), int(use)


def _joints_of(root: Path, action: str, clip: str) -> Path:
    """The file of a clip's joints."""
    return root / f"joint_positions/{action}/{clip}/joint_positions.mat"


def _document(root: Path, action: str, clip: str, images: str, box: Box) -> dict[str, Any]:
    """A clip in PoseTrack18's form."""
    path = _joints_of(root, action, clip)
    points = read_array(path, "pos_img", "JHMDB")
    if points.ndim != 3 or points.shape[:2] != (2, 15) or not np.isfinite(points).all():
        raise ValueError(
            f"{path}: pos_img is of shape {points.shape}, not (2, 15, T), or not finite"
        )
    length = points.shape[2]
    boxes: list[dict[str, Any]] = [{}] * length
    if box == "mask":
        boxes = _boxes(root / f"puppet_mask/{action}/{clip}/puppet_mask.mat", length)
    rows = np.moveaxis(points, 2, 0).swapaxes(1, 2)  # (T, 15, 2)
    inside: NDArray[np.bool_] = np.all((rows >= 1) & (rows <= np.array(PICTURE)), -1)
    triples = np.concatenate([rows, 2.0 * inside[..., None]], -1) * inside[..., None]
    shown, people = [], []
    for t, values in enumerate(triples):
        file = f"{images}/{action}/{clip}/{t + 1:05d}.png"
        shown.append({"id": t, "vid_id": clip, "file_name": file, "nframes": length})
        person = {"image_id": t, "track_id": 0, "keypoints": values.flatten().tolist()}
        people.append(person | boxes[t])
    category = {"id": 1, "name": "person", "keypoints": list(skeleton_named("jhmdb15").joints)}
    return {"images": shown, "categories": [category], "annotations": people}


def _boxes(path: Path, count: int) -> list[dict[str, Any]]:
    """`bbox` around the mask of every frame, x and y from 1; no entry if the mask is empty."""
    masks = read_array(path, "part_mask", "JHMDB")
    if masks.ndim != 3 or masks.shape[2] < count:
        raise ValueError(
            f"{path}: part_mask is of shape {masks.shape}, for {count} labelled frames"
        )
    boxes: list[dict[str, Any]] = []
    for mask in np.moveaxis(masks[..., :count], 2, 0):
        x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if len(x):
            size = [int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
            boxes.append({"bbox": [int(x[0]) + 1, int(y[0]) + 1, *size]})
        else:
            boxes.append({})
    return boxes

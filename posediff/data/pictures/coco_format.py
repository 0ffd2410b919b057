"""Data sets whose annotations have COCO's form: where their files lie, and their splits.

Paths are below `root`; `annotations` and `images` name others than the usual ones. Areas: COCO
stores them, CrowdPose and AI Challenger take .53 of the box. `boxes` is gt, or a detector's json
file, which holds for validation and test; training always takes the annotated boxes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from posediff.data import random
from posediff.data.pictures import annotations as files
from posediff.data.pictures.annotations import Annotations, Area
from posediff.data.pictures.top_down import SPLITS, Options, Split, TopDownDataset
from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import skeleton as skeleton_named

PART = "{part}"  # of a file name: the part of the data, train, val or test


def coco(
    root: str | Path,
    split: Split = "train",
    boxes: str = "gt",
    annotations: str | None = None,
    images: str | None = None,
    skeleton: str = "coco17",
    **options: Unpack[Options],
) -> TopDownDataset:
    """COCO 2017: train on train2017, validate and test on val2017 as everyone does.

    Detections of the published tables: COCO_val2017_detections_AP_H_56_person.json.
    """
    root, part = Path(root), _part(split, validation="val", test="val")
    file = root / (annotations or f"annotations/person_keypoints_{part}2017.json")
    folder = _there(root, *([images] if images else [f"images/{part}2017", f"{part}2017"]))
    people = files.read(file, skeleton_named(skeleton), folder)
    return dataset(people, folder, split, boxes, root, **options)


def crowdpose(
    root: str | Path,
    split: Split = "train",
    boxes: str = "gt",
    annotations: str | None = None,
    images: str = "images",
    train_on: Literal["train", "trainval"] = "train",
    skeleton: str = "crowdpose14",
    **options: Unpack[Options],
) -> TopDownDataset:
    """CrowdPose. Published figures are of models trained with `train_on: trainval`; then the people
    of validation, which is val, have been seen, and only the test counts.

    Detections of the published tables: det_for_crowd_test_0.1_0.5.json.
    """
    root, part = Path(root), _part(split, train=train_on, validation="val")
    usual = (f"json/crowdpose_{part}.json", f"annotations/mmpose_crowdpose_{part}.json")
    file = _there(root, *([annotations] if annotations else usual))
    folder = root / images
    own = skeleton_named(skeleton)
    people = files.read(file, own, folder, "0.53*w*h", needs=["num_keypoints"])
    return dataset(people, folder, split, boxes, root, **options)


AIC_FILES = {"raw": "{0}/keypoint_{1}_annotations_{2}.json", "coco": "annotations/aic_{3}.json"}
AIC_PARTS = {"train": ("train", "20170902", "train"), "val": ("validation", "20170911", "val")}


def aic(
    root: str | Path,
    split: Split = "train",
    boxes: str = "gt",
    form: Literal["raw", "coco"] = "raw",
    annotations: str | None = None,
    images: str | None = None,
    skeleton: str = "aic14",
    **options: Unpack[Options],
) -> TopDownDataset:
    """AI Challenger 2017: validate and test on its validation part.

    form: raw is its own, a list of images with v = 1 visible, 2 occluded, 3 absent; coco is the
    file that mmpose made of it.
    """
    one_of("dataset.form", form, AIC_FILES)
    root = Path(root)
    name, date, short = AIC_PARTS[_part(split, validation="val", test="val")]
    home = f"ai_challenger_keypoint_{name}_{date}"
    file = root / (annotations or AIC_FILES[form].format(home, name, date, short))
    folder = root / (images or f"{home}/keypoint_{name}_images_{date}")
    data, own = files.load(file), skeleton_named(skeleton)
    if isinstance(data, list) != (form == "raw"):
        found = "raw" if isinstance(data, list) else "coco"
        raise ValueError(f"{file}: is of the form {found}: set dataset.form={found}")
    if form == "raw":
        data = from_raw(file, data, own.joints)
    people = files.checked(file, data, own, folder, "0.53*w*h")
    return dataset(people, folder, split, boxes, root, **options)


def custom(
    root: str | Path,
    annotations: Mapping[str, str | None],
    skeleton: str,
    split: Split = "train",
    images: str = "images",
    boxes: str = "gt",
    area: Area = "file",
    validation: float = 0.05,
    **options: Unpack[Options],
) -> TopDownDataset:
    """Photos of one's own with a json file in COCO's form.

    annotations: a file for train, one for test and perhaps one for validation. Without the last,
    a part `validation` of the training pictures is kept back. skeleton: the name of the layout
    that the joints of the file belong to; they are matched by name, in any usual spelling.
    """
    root, part, named = Path(root), _part(split), {k: x for k, x in annotations.items() if x}
    if part == "validation" and part not in named:
        part = "train"
    if part not in named:
        raise ValueError(f"dataset.annotations names no file for {part}")
    folder = root / images
    people = files.read(root / named[part], skeleton_named(skeleton), folder, area)
    if part == "train" and "validation" not in named:
        people = held_out(people, split, validation)
    return dataset(people, folder, split, boxes, root, **options)


def dataset(
    people: Annotations,
    folder: Path,
    split: Split,
    boxes: str,
    root: Path,
    **options: Unpack[Options],
) -> TopDownDataset:
    """The samples of these people, in training always by their annotated boxes."""
    training = split == "train"
    detections = None if training or boxes == "gt" else root / boxes
    return TopDownDataset(people, folder, training, detections, **options)


def held_out(people: Annotations, split: Split, part: float) -> Annotations:
    """The part of the training pictures that is kept back for validation, or all the others.

    Which they are depends on their ids alone.
    """
    if not 0 <= part < 1:
        raise ValueError(f"dataset.validation is a part of the training pictures, got {part}")
    ids = random.name_keys([str(picture.id) for picture in people.pictures])
    kept: NDArray[np.bool_] = random.uniform(random.keys(0, ids), 1)[:, 0] < part
    chosen = people.within(kept if split == "validation" else ~kept)
    if not len(chosen.ids):
        raise ValueError(f"{people.path}: nobody is left for {split}: change dataset.validation")
    return chosen


def from_raw(path: Path, images: Any, joints: tuple[str, ...]) -> dict[str, Any]:
    """AI Challenger's own list -> COCO's form; people are numbered through, in the file's order."""
    flags = {1: 2, 2: 1, 3: 0}
    people: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for i, image in enumerate(images):
        try:
            shown.append({"id": image["image_id"], "file_name": f"{image['image_id']}.jpg"})
            for human, (x1, y1, x2, y2) in sorted(image["human_annotations"].items()):
                values = list(image["keypoint_annotations"][human])
                values[2::3] = [flags[v] for v in values[2::3]]
                entry = {"id": len(people) + 1, "image_id": image["image_id"], "category_id": 1}
                people.append(entry | {"keypoints": values, "bbox": [x1, y1, x2 - x1, y2 - y1]})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path}: [{i}]: needs image_id, human_annotations {{human: [x1, y1, x2, y2]}} and "
                f"keypoint_annotations {{human: [x, y, v] * 14}}, v = 1, 2 or 3 ({error!r})"
            ) from None
    return {
        "images": shown,
        "categories": [{"id": 1, "name": "person", "keypoints": list(joints)}],
        "annotations": people,
    }


def _part(split: str, **names: str) -> str:
    """What a split is called in file names."""
    one_of("split", split, SPLITS)
    return names.get(split, split)


def _there(root: Path, *places: str) -> Path:
    """The first of the usual places that exists."""
    for place in places:
        if (root / place).exists():
            return root / place
    raise FileNotFoundError(f"{root} holds none of {', '.join(places)}: look at dataset.root")

"""Data sets with annotations in COCO's form: locations of their files, and their splits.

Paths are below `root`; `annotations` and `images` replace the usual ones. Areas: COCO stores them,
for CrowdPose and AI Challenger they are .53 of the box.
All functions here raise FileNotFoundError if a file is missing, ValueError if its content or an
option cannot be used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from posediff.data import random
from posediff.data.pictures.annotations import Annotations, Area, checked, load
from posediff.data.pictures.top_down import SPLITS, Options, Split, TopDownDataset
from posediff.diffusion.choices import one_of
from posediff.doors.checks import listing
from posediff.pose.skeleton import skeleton as skeleton_named


def coco(
    root: str | Path,
    split: Split = "train",
    annotations: str | None = None,
    images: str | None = None,
    skeleton: str = "coco17",
    **options: Unpack[Options],
) -> TopDownDataset:
    """COCO 2017: train on train2017, validation and test on val2017, as is usual.

    Detections of the published tables: COCO_val2017_detections_AP_H_56_person.json.
    """
    root, part = Path(root), _part(split, validation="val", test="val")
    file = root / (annotations or f"annotations/person_keypoints_{part}2017.json")
    folder = _existing(root, *([images] if images else [f"images/{part}2017", f"{part}2017"]))
    people = checked(file, load(file), skeleton_named(skeleton), folder)
    return TopDownDataset(people, folder, split == "train", root, **options)


def crowdpose(
    root: str | Path,
    split: Split = "train",
    annotations: str | None = None,
    images: str = "images",
    train_on: Literal["train", "trainval"] = "train",
    skeleton: str = "crowdpose14",
    **options: Unpack[Options],
) -> TopDownDataset:
    """CrowdPose. Published results are of models trained with `train_on: trainval`; training then
    includes the people of validation, which is val, and only the test counts.

    Detections of the published tables: det_for_crowd_test_0.1_0.5.json.
    """
    root, part = Path(root), _part(split, train=train_on, validation="val")
    usual = (f"json/crowdpose_{part}.json", f"annotations/mmpose_crowdpose_{part}.json")
    file = _existing(root, *([annotations] if annotations else usual))
    folder, layout = root / images, skeleton_named(skeleton)
    people = checked(file, load(file), layout, folder, "0.53*w*h", needs=["num_keypoints"])
    return TopDownDataset(people, folder, split == "train", root, **options)


AIC_FILES = {"raw": "{0}/keypoint_{1}_annotations_{2}.json", "coco": "annotations/aic_{3}.json"}
AIC_PARTS = {"train": ("train", "20170902", "train"), "val": ("validation", "20170911", "val")}


def aic(
    root: str | Path,
    split: Split = "train",
    form: Literal["raw", "coco"] = "raw",
    annotations: str | None = None,
    images: str | None = None,
    skeleton: str = "aic14",
    **options: Unpack[Options],
) -> TopDownDataset:
    """AI Challenger 2017: validation and test on its validation part.

    form: raw is its own, a list of images with v = 1 visible, 2 occluded, 3 absent; coco is the
    file that mmpose made of it.
    """
    one_of("dataset.form", form, AIC_FILES)
    root = Path(root)
    name, date, short = AIC_PARTS[_part(split, validation="val", test="val")]
    home = f"ai_challenger_keypoint_{name}_{date}"
    file = root / (annotations or AIC_FILES[form].format(home, name, date, short))
    folder = root / (images or f"{home}/keypoint_{name}_images_{date}")
    data, layout = load(file), skeleton_named(skeleton)
    found = "raw" if isinstance(data, list) else "coco"
    if found != form:
        raise ValueError(f"{file}: is of the form {found}: set dataset.form={found}")
    if form == "raw":
        data = from_raw(file, data, layout.joints)
    people = checked(file, data, layout, folder, "0.53*w*h")
    return TopDownDataset(people, folder, split == "train", root, **options)


def custom(
    root: str | Path,
    annotations: Mapping[str, str | None],
    skeleton: str,
    split: Split = "train",
    images: str = "images",
    area: Area = "file",
    validation: float = 0.05,
    **options: Unpack[Options],
) -> TopDownDataset:
    """The user's own photos with annotations in COCO's form.

    annotations: a file for train, one for test and optionally one for validation. Without the last,
    a part `validation` of the training images is held out. skeleton: name of the layout that
    contains the joints of the files; they are matched by name, in any usual spelling. Labels
    refer to the pictures as programs show them, turned by their EXIF, unless `upright` is false.
    """
    root, folder = Path(root), Path(root) / images
    name, shared = annotation_file(annotations, split)
    layout, upright = skeleton_named(skeleton), options.setdefault("upright", True)
    people = checked(root / name, load(root / name), layout, folder, area, upright=upright)
    if shared:
        people = held_out(people, split, validation)
    return TopDownDataset(people, folder, split == "train", root, **options)


def annotation_file(annotations: Mapping[str, str | None], split: Split) -> tuple[str, bool]:
    """Name of the file of a split, and whether training and validation share it.

    Raises ValueError if there is no name for the split.
    """
    one_of("split", split, SPLITS)
    shared = split != "test" and not annotations.get("validation")
    part = "train" if shared else split
    name = annotations.get(part)
    if not name:
        raise ValueError(f"dataset.annotations names no file for {part}")
    return name, shared


def held_out(people: Annotations, split: Split, part: float) -> Annotations:
    """The part of the training images that is for validation, at least one, or all others, by their
    ids alone. Raises ValueError if there is no person in it.
    """
    if not 0 <= part < 1:
        raise ValueError(f"dataset.validation is a part of the training images, got {part}")
    ids = random.name_keys([str(picture.id) for picture in people.pictures])
    places = random.uniform(random.keys(0, ids), 1)[:, 0]  # in 0 .. 1, that of an image is fixed
    kept: NDArray[np.bool_] = places < part
    if part and not kept.any():
        kept = places == places.min(initial=1.0)
    chosen = people.subset(kept if split == "validation" else ~kept)
    if not len(chosen.ids):
        raise ValueError(
            f"{people.path}: no person is left for {split}: change dataset.validation, or label "
            "people with keypoints"
        )
    return chosen


def from_raw(path: Path, images: Any, joints: tuple[str, ...]) -> dict[str, Any]:
    """AI Challenger's own list in COCO's form; people are numbered in the order of the file.

    Raises ValueError if an entry has another form.
    """
    flags = {1: 2, 2: 1, 3: 0}
    people: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for i, image in enumerate(listing(path, images)):
        try:
            shown.append({"id": image["image_id"], "file_name": f"{image['image_id']}.jpg"})
            for human, (x1, y1, x2, y2) in sorted(image["human_annotations"].items()):
                values = list(image["keypoint_annotations"][human])
                values[2::3] = [flags[v] for v in values[2::3]]
                entry = {"id": len(people) + 1, "image_id": image["image_id"], "category_id": 1}
                people.append(entry | {"keypoints": values, "bbox": [x1, y1, x2 - x1, y2 - y1]})
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{path}: [{i}]: needs image_id, human_annotations {{human: [x1, y1, x2, y2]}} and "
                f"keypoint_annotations {{human: [x, y, v] * 14}}, v = 1, 2 or 3 "
                f"({repr(error)[:200]})"
            ) from None
    category = {"id": 1, "name": "person", "keypoints": list(joints)}
    return {"images": shown, "categories": [category], "annotations": people}


def _part(split: str, **names: str) -> str:
    """Name of a split in file names."""
    one_of("split", split, SPLITS)
    return names.get(split, split)


def _existing(root: Path, *places: str) -> Path:
    for place in places:
        if (root / place).exists():
            return root / place
    raise FileNotFoundError(f"{root} has none of {', '.join(places)}: look at dataset.root")

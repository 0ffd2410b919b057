"""Rendered images of the synthetic body as a data set: painted at construction, some 15 a second,
and kept in memory. For more than a few hundred write files first (scripts/make_mini.py coco)."""

from pathlib import Path
from typing import Unpack

import numpy as np

from posediff.data.pictures.annotation_entries import Picture
from posediff.data.pictures.annotations import Annotations
from posediff.data.pictures.top_down import SPLITS, Options, Split, TopDownDataset
from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import skeleton as skeleton_named
from posediff.synthetic.render import head_boxes, labels
from posediff.synthetic.stage import scene

PICTURES = {"train": 256, "validation": 64, "test": 64}
SIDES = (200, 320)  # of an image
TINY = 60  # pixels; a person of whom less is visible is not annotated


def rendered(
    split: Split = "train",
    skeleton: str = "coco17",
    pictures: int | None = None,
    people: int = 3,
    apart: float = 0.8,
    hidden: float = 0.3,
    **options: Unpack[Options],
) -> TopDownDataset:
    """Images of one to `people` people; apart and hidden as in `stage.scene`.

    pictures: number of images; None: the default of the split. The seed is also that of the
    augmentation; split, seed and number determine an image.
    Raises ValueError if there would be no image.
    """
    one_of("split", split, SPLITS)
    layout, source = skeleton_named(skeleton), Path(f"rendered {split}")
    shots, labelled = [], []
    for n in range(PICTURES[split] if pictures is None else pictures):
        rng = np.random.default_rng([options.get("seed", 0), SPLITS.index(split), n])
        size = int(rng.integers(*SIDES)), int(rng.integers(*SIDES))
        count = int(rng.integers(1, people + 1))
        shots.append(scene(rng, size, count, apart=apart, hidden=hidden))
        labelled.append(labels(shots[-1], layout))
    if not shots:
        raise ValueError(f"dataset.pictures must be at least 1, got {pictures}")
    keypoints, visible = (np.concatenate(column) for column in zip(*labelled, strict=True))
    area = np.concatenate([shot.area for shot in shots])
    painted = [shot.picture for shot in shots]
    annotated = Annotations(
        path=source,
        skeleton=layout,
        pictures=[
            Picture(n, f"{n}.png", image.shape[1], image.shape[0])
            for n, image in enumerate(painted, 1)
        ],
        picture=np.repeat(np.arange(len(shots)), [len(shot.area) for shot in shots]),
        ids=np.arange(1, len(area) + 1),
        keypoints=keypoints,
        visible=visible.astype(np.int8),
        boxes=np.concatenate([shot.boxes for shot in shots]),
        area=area,
        labelled=(visible > 0).sum(1) * (area > TINY),
        crowd=np.zeros(len(area), np.bool_),
        heads=np.concatenate([head_boxes(shot) for shot in shots]),
        area_is="pixels seen",
    )
    return TopDownDataset(annotated, source, split == "train", painted=painted, **options)

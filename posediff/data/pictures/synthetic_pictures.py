"""Pictures of the synthetic body as a data set: painted when it is made, some 15 a second, and kept
in memory. For more than a few hundred write files first (scripts/make_mini.py coco)."""

from pathlib import Path
from typing import Unpack

import numpy as np

from posediff.data.pictures.annotations import Annotations, Picture
from posediff.data.pictures.top_down import SPLITS, Options, Split, TopDownDataset
from posediff.diffusion.choices import one_of
from posediff.pose.skeleton import skeleton as skeleton_named
from posediff.synthetic.render import head_boxes, labels
from posediff.synthetic.stage import scene

PICTURES = {"train": 256, "validation": 64, "test": 64}
SIDES = (200, 320)  # of a picture
TINY = 60  # pixels: of whom less is seen is not annotated


def rendered(
    split: Split = "train",
    skeleton: str = "coco17",
    pictures: int | None = None,
    people: int = 3,
    apart: float = 0.8,
    hidden: float = 0.3,
    **options: Unpack[Options],
) -> TopDownDataset:
    """Drawn pictures of one to `people` people, as far apart and as often hidden as `scene` says.

    pictures: so many; None is the split's own number. The seed is that of the augmentation too; a
    split, a seed and a number always give the same picture.
    """
    one_of("split", split, SPLITS)
    own, source = skeleton_named(skeleton), f"rendered {split}"
    shots, known = [], []
    for n in range(PICTURES[split] if pictures is None else pictures):
        rng = np.random.default_rng([options.get("seed", 0), SPLITS.index(split), n])
        size = int(rng.integers(*SIDES)), int(rng.integers(*SIDES))
        count = int(rng.integers(1, people + 1))
        shots.append(scene(rng, size, count, apart=apart, hidden=hidden))
        known.append(labels(shots[-1], own))
    if not shots:
        raise ValueError(f"dataset.pictures must be at least 1, got {pictures}")
    picture = np.concatenate([np.full(len(shot.area), n) for n, shot in enumerate(shots)])
    visible = np.concatenate([seen for _, seen in known])
    area = np.concatenate([shot.area for shot in shots])
    sizes = [shot.picture.shape[1::-1] for shot in shots]
    annotated = Annotations(
        path=Path(source),
        skeleton=own,
        pictures=[Picture(n, f"{n}.png", w, h) for n, (w, h) in enumerate(sizes, 1)],
        picture=picture,
        ids=np.arange(1, len(picture) + 1),
        keypoints=np.concatenate([points for points, _ in known]),
        visible=visible.astype(np.int8),
        boxes=np.concatenate([shot.boxes for shot in shots]),
        area=area,
        labelled=(visible > 0).sum(1) * (area > TINY),
        crowd=np.zeros(len(picture), np.bool_),
        heads=np.concatenate([head_boxes(shot) for shot in shots]),
        area_is="pixels seen",
    )
    painted = [shot.picture for shot in shots]
    return TopDownDataset(annotated, Path(source), split == "train", painted=painted, **options)

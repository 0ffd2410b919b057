"""Photos of one's own through a 2D model: one result file, and a picture for every photo.

results.json   COCO's form; the ids of images are the names of the photos
spread.json    the spread of every joint, by person of results.json
*_pose.png     the photo with its people; with `heatmaps=true` also *_<person>_heatmaps.png
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posediff.data.pictures.picture_files import RGB
from posediff.diffusion import Model, Poses
from posediff.files import write_json
from posediff.inference.photo_input import Boxes, photo_sample, photos, read_boxes
from posediff.inference.request import Request, crop_of, folder_of
from posediff.metrics.result_files import Found, write_coco
from posediff.pose.oks import instance_scores
from posediff.pose.skeleton import skeleton
from posediff.sample import to
from posediff.visual.pose2d import draw_heatmaps, draw_pose2d
from posediff.visual.pose3d import write_picture


class Photos:
    """A `Reader` of a photo or a folder of photos.

    Boxes of people: a json file by the names of photos, one xywh for every photo, or None, the
    whole photo. A bad photo does not stop the others; it is named in a ValueError at the end.
    """

    def __init__(self, request: Request) -> None:
        self.request, self.paths, boxes = request, photos(request.input), request.boxes
        self.boxes: Boxes | list[float] | None = None
        if boxes is not None:
            self.boxes = read_boxes(boxes) if isinstance(boxes, str) else list(boxes)

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        folder, crop = folder_of(self.request), crop_of(model, "size", "codec", "mean", "std")
        stems = Counter(path.stem for path in self.paths)
        rows: list[tuple[str, Poses]] = []
        pictures, bad = list[Path](), list[str]()
        for path in self.paths:
            own = self._boxes_in(path)
            if own == []:
                continue
            try:
                photo, sample = photo_sample(path, own, **crop)
            except (OSError, ValueError) as e:
                bad.append(str(e))
                continue
            seen = to(sample, next(model.parameters()).device)
            poses = model.predict(seen, seed=self.request.seed).cpu()
            rows.append((path.name, poses))
            title = folder / (path.stem if stems[path.stem] == 1 else path.name)
            pictures.append(_pose_picture(title, photo, poses))
            if self.request.heatmaps:
                pictures += _heatmap_pictures(
                    title, model, seen, sample["image"], crop, self.request.seed
                )
        if rows:
            yield from map(str, [*self._results(folder, model, rows), *pictures])
        if bad:
            count = f"{len(bad)} of {len(self.paths)} photos could not be used"
            raise ValueError(f"{count}: {'; '.join(bad)}")

    def _boxes_in(self, path: Path) -> list[list[float]] | None:
        if isinstance(self.boxes, Mapping):
            return self.boxes.get(path.name, [])
        return None if self.boxes is None else [self.boxes]

    def _results(
        self, folder: Path, model: Model, rows: Sequence[tuple[str, Poses]]
    ) -> tuple[Path, Path]:
        names = [name for name, poses in rows for _ in range(len(poses))]
        every, bones = Poses.cat([poses for _, poses in rows]), skeleton(model.head.skeleton)
        whole = instance_scores(torch.ones(len(every)), every.scores)
        found = Found(names, every.keypoints, every.scores, whole)
        about = {
            "skeleton": bones.name,
            "joints": bones.joints,
            "steps": model.steps,
            "K": model.hypotheses,
            "seed": self.request.seed,
            "spread": "pixels of the photo, RMS, by person of results.json and joint",
            "people": [
                {"image_id": name, "spread": [round(x, 3) for x in row]}
                for name, row in zip(names, every.spread.tolist(), strict=True)
            ],
        }
        results = write_coco(folder / "results.json", found)
        return results, write_json(folder / "spread.json", about, indent=1)


def _pose_picture(title: Path, photo: RGB, poses: Poses) -> Path:
    path = title.with_name(f"{title.name}_pose.png")
    write_picture(path, draw_pose2d(photo, poses, skeleton(poses.skeleton)))
    return path


def _heatmap_pictures(
    title: Path,
    model: Model,
    seen: Mapping[str, Any],
    images: torch.Tensor,
    crop: Mapping[str, Any],
    seed: int,
) -> Iterator[Path]:
    """The crop of every person with the heatmaps of every stage of their answer, if it has any."""
    stages = list(model.stages(seen, seed))
    mean, std = (np.array(crop[key]) for key in ("mean", "std"))
    for n, image in enumerate(images if stages else ()):
        shown = (image.permute(1, 2, 0).numpy() * std + mean).clip(0, 255).astype(np.uint8)
        rows = [(name, maps[n]) for name, maps in stages]
        path = title.with_name(f"{title.name}_{n}_heatmaps.png")
        write_picture(path, draw_heatmaps(shown, rows, skeleton(model.head.skeleton)))
        yield path

"""Photos of one's own through a 2D model: one result file, and a picture for every photo."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posediff.data.pictures.picture_files import RGB
from posediff.diffusion import DiffusionModel, Model, Poses
from posediff.files import write_json
from posediff.inference.photo_input import Boxes, crops
from posediff.metrics.result_files import write_coco
from posediff.pose.oks import instance_scores
from posediff.pose.skeleton import skeleton
from posediff.sample import to
from posediff.visual.pose2d import draw_heatmaps, draw_pose2d
from posediff.visual.pose3d import write_picture


class Reader:
    """`made_for` is the entry `dataset` of the model's config.json."""

    def __init__(
        self, model: Model, made_for: Mapping[str, Any], seed: int = 0, heatmaps: bool = False
    ) -> None:
        self.model, self.seed, self.heatmaps = model, seed, heatmaps
        self.crop = {key: made_for[key] for key in ("size", "codec", "mean", "std")}
        self.bones = skeleton(model.head.skeleton)
        self.device = next(model.parameters()).device

    def read(
        self, paths: Sequence[Path], boxes: Boxes | list[float] | None, output: Path
    ) -> tuple[list[Path], list[str]]:
        """Poses of all photos -> the files written, and what was wrong with those left out.

        boxes: by the names of photos, one xywh for every photo, or None, the whole photo.
        """
        output.mkdir(parents=True, exist_ok=True)
        rows: list[tuple[str, Poses]] = []
        stems = Counter(path.stem for path in paths)
        pictures, bad = list[Path](), list[str]()
        for path in paths:
            own = boxes_of(path, boxes)
            if own == []:
                continue
            try:
                photo, sample = crops(path, own, **self.crop)
            except (OSError, ValueError) as e:
                bad.append(str(e))
                continue
            poses = self.model.predict(to(sample, self.device), seed=self.seed).cpu()
            rows.append((path.name, poses))
            title = path.stem if stems[path.stem] == 1 else path.name
            pictures += self._draw(output / title, photo, sample, poses)
        return ([*self._write(output, rows), *pictures] if rows else []), bad

    def _write(self, output: Path, rows: Sequence[tuple[str, Poses]]) -> tuple[Path, Path]:
        """COCO's result file, whose image ids are the names of the photos; and the spreads."""
        names = [name for name, poses in rows for _ in range(len(poses))]
        every = Poses.cat([poses for _, poses in rows])
        whole = instance_scores(torch.ones(len(every)), every.scores)
        file = output / "results.json"
        results = write_coco(file, names, every.keypoints, every.scores, whole)
        about = {
            "skeleton": self.bones.name,
            "joints": self.bones.joints,
            "steps": self.model.steps,
            "K": self.model.hypotheses,
            "seed": self.seed,
            "spread": "pixels of the photo, RMS, by person of results.json and joint",
            "people": [
                {"image_id": name, "spread": [round(x, 3) for x in row]}
                for name, row in zip(names, every.spread.tolist(), strict=True)
            ],
        }
        return results, write_json(output / "spread.json", about, indent=1)

    @torch.no_grad()
    def _draw(self, at: Path, photo: RGB, sample: dict[str, Any], poses: Poses) -> list[Path]:
        paths = [at.with_name(f"{at.name}_pose.png")]
        write_picture(paths[0], draw_pose2d(photo, poses, self.bones))
        if not self.heatmaps or not isinstance(self.model, DiffusionModel):
            return paths
        seen = to(sample, self.device)
        coarse = self.model.head.encode(seen)["coarse"]
        steps = list(self.model.trajectory(seen, 1, seed=self.seed))
        mean, std = (np.array(self.crop[key]) for key in ("mean", "std"))
        for n, image in enumerate(sample["image"]):
            crop = (image.permute(1, 2, 0).numpy() * std + mean).clip(0, 255).astype(np.uint8)
            rows = [("coarse", coarse[n]), *((f"t = {s.t}", s.estimate[n]) for s in steps)]
            paths.append(at.with_name(f"{at.name}_{n}_heatmaps.png"))
            write_picture(paths[-1], draw_heatmaps(crop, rows, self.bones))
        return paths


def boxes_of(path: Path, boxes: Boxes | list[float] | None) -> list[list[float]] | None:
    if isinstance(boxes, Mapping):
        return boxes.get(path.name, [])
    return None if boxes is None else [boxes]

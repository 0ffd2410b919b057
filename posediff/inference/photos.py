"""A user's own photos through a 2D model: result files, and a drawing of every photo.

results.json   COCO's form; the ids of images are the names of the photos
spread.json    the spread of every joint, by person of results.json
*_pose.png     the photo with its people; with `heatmaps=true` also *_<person>_heatmaps.png
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from posediff import processes
from posediff.data.video.frames import FILMS
from posediff.diffusion import Model, Poses
from posediff.files import write_json
from posediff.inference.photo_input import photo_files, photo_sample, read_boxes
from posediff.inference.request import Request, data_settings, output_folder
from posediff.metrics.result_files import Found, write_coco
from posediff.outputs.places import refuse_inputs
from posediff.people.budget import expected
from posediff.pose.oks import instance_scores
from posediff.pose.skeleton import skeleton
from posediff.sample import to
from posediff.visual.pose2d import draw_heatmaps, draw_pose2d
from posediff.visual.pose3d import write_picture

WRITTEN = ("results.json", "spread.json", "*_pose.png", "*_heatmaps.png")


class Answer(NamedTuple):
    name: str  # of the photo
    poses: Poses | None  # None if it could not be used
    drawn: list[Path]
    error: str


class Photos:
    """A `Reader` of a photo or a folder of photos, which several processes share.

    Boxes of people: a JSON file by the names of photos, one xywh for every photo, or None, the
    whole photo. A bad photo does not stop the others; a ValueError names it at the end.
    """

    reads = ("boxes", "heatmaps")

    def __init__(self, request: Request) -> None:
        if Path(request.input).is_file() and Path(request.input).suffix.lower() in FILMS:
            raise ValueError(
                f"{request.input}: a video, and this model reads photos; posediff FILE and "
                "task=video2d read videos"
            )
        self.request, self.paths, boxes = request, photo_files(request.input), request.boxes
        given = [*self.paths, Path(boxes)] if isinstance(boxes, str) else self.paths
        refuse_inputs(Path(request.output), WRITTEN, given, "output=FOLDER")
        self.boxes = read_boxes(boxes) if isinstance(boxes, str) else boxes
        if isinstance(self.boxes, Mapping) and not any(map(self._boxes_in, self.paths)):
            first = ", ".join(list(self.boxes)[:3])
            raise ValueError(f"{boxes}: no box for a photo of {request.input}; it names {first}")

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        folder = output_folder(self.request)
        settings = data_settings(model, "size", "codec", "mean", "std")
        stems = Counter(path.stem for path in self.paths)
        people = sum(
            1 if boxes is None else len(boxes) for boxes in map(self._boxes_in, self.paths)
        )
        photos = f"{people} people in {len(self.paths)} photo{'s' * (len(self.paths) > 1)}"
        yield expected({"image2d": model}, people, photos)
        own = [path for path in processes.part(self.paths) if self._boxes_in(path) != []]
        titles = [folder / (path.stem if stems[path.stem] == 1 else path.name) for path in own]
        pairs = zip(own, titles, strict=True)
        every = processes.joined([self._answer(*pair, model, settings) for pair in pairs])
        if not processes.first():
            return
        answers = [(answer.name, answer.poses) for answer in every if answer.poses is not None]
        if answers:
            drawn = [path for answer in every for path in answer.drawn]
            yield from map(str, [*self._results(folder, model, answers), *drawn])
        bad = [answer.error for answer in every if answer.error]
        if bad:
            count = f"{len(bad)} of {len(self.paths)} photos could not be used"
            raise ValueError(f"{count}: {'; '.join(bad)}")

    def _answer(
        self, path: Path, title: Path, model: Model, settings: Mapping[str, Any]
    ) -> "Answer":
        """The poses of a photo, once they are drawn, or the error that it ends in."""
        try:
            photo, sample = photo_sample(path, self._boxes_in(path), **settings)
        except (OSError, ValueError) as error:
            return Answer(path.name, None, [], str(error))
        seen = to(sample, next(model.parameters()).device)
        poses = model.predict(seen, seed=self.request.seed).cpu()
        drawn = [title.with_name(f"{title.name}_pose.png")]
        write_picture(drawn[0], draw_pose2d(photo, poses, skeleton(poses.skeleton)))
        if self.request.heatmaps:
            drawn += _heatmap_drawings(title, model, seen, settings, self.request.seed)
        return Answer(path.name, poses, drawn, "")

    def _boxes_in(self, path: Path) -> Sequence[Any] | None:
        if isinstance(self.boxes, Mapping):
            return self.boxes.get(path.name, [])
        return None if self.boxes is None else [self.boxes]

    def _results(
        self, folder: Path, model: Model, answers: Sequence[tuple[str, Poses]]
    ) -> tuple[Path, Path]:
        names = [name for name, poses in answers for _ in range(len(poses))]
        every, bones = Poses.cat([poses for _, poses in answers]), skeleton(model.head.skeleton)
        person_scores = instance_scores(torch.ones(len(every)), every.scores)
        found = Found(names, every.keypoints, every.scores, person_scores)
        spread = {
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
        return results, write_json(folder / "spread.json", spread, indent=1)


def _heatmap_drawings(
    title: Path, model: Model, sample: Mapping[str, Any], settings: Mapping[str, Any], seed: int
) -> Iterator[Path]:
    """Every person's crop with the heatmaps of all stages of the answer, if it has any."""
    stages = list(model.stages(sample, seed))
    mean, std = (np.array(settings[key]) for key in ("mean", "std"))
    for n, image in enumerate(sample["image"].cpu() if stages else ()):
        crop = (image.permute(1, 2, 0).numpy() * std + mean).clip(0, 255).astype(np.uint8)
        rows = [(name, maps[n]) for name, maps in stages]
        path = title.with_name(f"{title.name}_{n}_heatmaps.png")
        write_picture(path, draw_heatmaps(crop, rows, skeleton(model.head.skeleton)))
        yield path

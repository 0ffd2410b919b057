"""A user's own video through a model of video2d: poses with tracks, and a video that shows them.

results.json   PoseTrack18's form, for the whole video: images, and annotations with track_id,
               keypoints [x, y, 1] * J, scores [J] and spread [J], pixels of the frame
poses.mp4      every frame with its people
poses.png      some of the frames, evenly spaced, on one sheet
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posediff import processes
from posediff.diffusion import Model, Poses
from posediff.files import write_json
from posediff.inference.photo_input import photo_files
from posediff.inference.request import Request, data_settings, output_folder
from posediff.inference.video_input import open_video, people_in, samples
from posediff.outputs.places import refuse_inputs
from posediff.people.budget import expected
from posediff.pose.affine import corners
from posediff.pose.skeleton import skeleton
from posediff.progress import progress
from posediff.sample import to
from posediff.visual.canvas import Picture
from posediff.visual.film import contact_sheet, film_note, write_film
from posediff.visual.pose2d import draw_pose2d
from posediff.visual.pose3d import write_picture

BATCH = 16  # people at once
SHEET = 12  # frames on it
WRITTEN = RESULTS, FILM, TILES = ("results.json", "poses.mp4", "poses.png")


class VideoFrames:
    """A `Reader` of a video file or of a folder of its frames, whose people several processes
    share.

    Boxes of people: a JSON file by frames, one xywh for all frames, or None, one person in the
    whole frame.
    """

    reads = ("boxes",)

    def __init__(self, request: Request) -> None:
        boxes = [Path(request.boxes)] if isinstance(request.boxes, str) else []
        given = [*photo_files(request.input), *boxes]
        refuse_inputs(Path(request.output), WRITTEN, given, "output=FOLDER")
        self.request, self.video = request, open_video(request.input)
        self.people = people_in(self.video, request.boxes)

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        video, people, folder = self.video, self.people, output_folder(self.request)
        settings = data_settings(model, "offsets", "size", "codec", "mean", "std")
        yield expected({"video2d": model}, len(people), f"{len(people)} people in frames")
        device, answers = next(model.parameters()).device, []
        own = processes.part(people)
        batches = samples(video, own, **settings, count=BATCH)
        for sample in progress(batches, -(-len(own) // BATCH), "poses", {}):
            answers.append(model.predict(to(sample, device), seed=self.request.seed).cpu())
        answers = processes.joined(answers)
        if not processes.first():
            return
        poses = Poses.cat(answers)
        results = write_json(folder / RESULTS, self._results(model, poses, settings["offsets"]))
        film, sheet = folder / FILM, folder / TILES
        on_sheet = {i * len(video.names) // SHEET for i in range(SHEET)}
        tiles = list[tuple[str, Picture]]()

        def drawn() -> Iterator[Picture]:
            frames = progress(self._drawn_frames(poses), len(video.names), "drawings", {})
            for i, frame in enumerate(frames):
                if i in on_sheet:
                    tiles.append((video.names[i], frame))
                yield frame

        write_film(film, drawn(), video.rate)
        write_picture(sheet, contact_sheet(tiles))
        tracks = len({person.track for person in people})
        yield f"{len(people)} poses of {tracks} people in {len(video.names)} frames"
        yield from map(str, (results, film, sheet))
        yield from filter(None, (film_note(), video.note))
        if video.left_out:
            count, reasons = len(video.left_out), "; ".join(video.left_out.values())
            raise ValueError(f"{count} frames of {video.path} left out: {reasons}")

    def _drawn_frames(self, poses: Poses) -> Iterator[Picture]:
        """Every frame, with its people and the numbers of their tracks."""
        bones, rows = skeleton(poses.skeleton), defaultdict[int, list[int]](list)
        for row, person in enumerate(self.people):
            rows[person.frame].append(row)
        for i in range(len(self.video.names)):
            tracks = [str(self.people[row].track) for row in rows[i]]
            boxes = [corners(self.people[row].box).numpy() for row in rows[i]]
            shown = np.stack(boxes) if boxes else None
            yield draw_pose2d(self.video.read(i), poses[rows[i]], bones, tracks, shown)

    def _results(self, model: Model, poses: Poses, offsets: Sequence[int]) -> dict[str, Any]:
        """The content of results.json; `frame_id` is the number of the frame in the video."""
        bones = skeleton(poses.skeleton)
        frames = zip(self.video.names, self.video.numbers, strict=True)
        keypoints = torch.cat([poses.keypoints, torch.ones_like(poses.scores)[..., None]], -1)
        return {
            "info": {
                "input": str(self.video.path),
                "skeleton": bones.name,
                "steps": model.steps,
                "K": model.hypotheses,
                "seed": self.request.seed,
                "offsets": list(offsets),
                "spread": "RMS distance in pixels of the frame, by joint",
            },
            "categories": [{"id": 1, "name": "person", "keypoints": list(bones.joints)}],
            "images": [
                {
                    "id": i,
                    "frame_id": number,
                    "vid_id": self.video.path.stem,
                    "file_name": name,
                }
                for i, (name, number) in enumerate(frames)
            ],
            "annotations": [
                {
                    "id": row,
                    "image_id": person.frame,
                    "track_id": person.track,
                    "category_id": 1,
                    "bbox": rounded(person.box),
                    "keypoints": rounded(keypoints[row]),
                    "scores": rounded(poses.scores[row]),
                    "spread": rounded(poses.spread[row]),
                }
                for row, person in enumerate(self.people)
            ],
        }


def rounded(x: torch.Tensor) -> list[float]:
    """A tensor of any shape, flat, to 0.001 pixel."""
    return [round(value, 3) for value in x.flatten().tolist()]

"""Video of one's own through a model of video2d: poses with tracks, and a video to look at.

results.json   PoseTrack18's form, for the whole video: images, and annotations with track_id,
               keypoints [x, y, 1] * J, scores [J] and spread [J], pixels of the frame
poses.mp4      every frame with its people
poses.png      some of the frames, evenly spaced, on one sheet
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posediff.diffusion import Model, Poses
from posediff.files import write_json
from posediff.inference.request import Request, crop_of, folder_of
from posediff.inference.video_input import Person, Video, everybody, open_video, samples
from posediff.pose.skeleton import Skeleton, skeleton
from posediff.progress import progress
from posediff.sample import to
from posediff.visual.canvas import Picture
from posediff.visual.film import contact_sheet, write_film
from posediff.visual.pose2d import draw_pose2d
from posediff.visual.pose3d import write_picture

BATCH = 16  # people at once
SHEET = 12  # frames on it


class VideoFrames:
    """A `Reader` of a video file or of a folder of its frames.

    Boxes of people: a json file by frames, one xywh for all frames, or None, one person in the
    whole picture.
    """

    def __init__(self, request: Request) -> None:
        self.request, self.video = request, open_video(request.input)
        boxes = request.boxes
        given = boxes if boxes is None or isinstance(boxes, str) else list(boxes)
        self.people = everybody(self.video, given)

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        video, people, seed = self.video, self.people, self.request.seed
        folder, bones = folder_of(self.request), skeleton(model.head.skeleton)
        crop = crop_of(model, "offsets", "size", "codec", "mean", "std")
        device, found = next(model.parameters()).device, []
        batches = samples(video, people, **crop, count=BATCH)
        for sample in progress(batches, -(-len(people) // BATCH), "poses", {}):
            found.append(model.predict(to(sample, device), seed=seed).cpu())
        poses = Poses.cat(found)
        said = {
            "skeleton": bones.name,
            "steps": model.steps,
            "K": model.hypotheses,
            "seed": seed,
            "offsets": list(crop["offsets"]),
            "spread": "RMS distance in pixels of the frame, by joint",
        }
        results = write_results(folder / "results.json", video, people, poses, bones, said)
        film, sheet = folder / "poses.mp4", folder / "poses.png"
        wanted = {i * len(video.names) // SHEET for i in range(SHEET)}
        shown = list[tuple[str, Picture]]()

        def pictures() -> Iterator[Picture]:
            drawn = drawings(video, people, poses, bones)
            for i, picture in enumerate(progress(drawn, len(video.names), "pictures", {})):
                if i in wanted:
                    shown.append((video.names[i], picture))
                yield picture

        write_film(film, pictures(), video.rate)
        write_picture(sheet, contact_sheet(shown))
        tracks = len({person.track for person in people})
        yield f"{len(people)} poses of {tracks} people in {len(video.names)} frames"
        yield from map(str, (results, film, sheet))


def drawings(
    video: Video, people: Sequence[Person], poses: Poses, bones: Skeleton
) -> Iterator[Picture]:
    """Every frame, with those who are in it and the numbers of their tracks."""
    rows: dict[int, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person.frame, []).append(row)
    for i in range(len(video.names)):
        here = rows.get(i, [])
        yield draw_pose2d(
            video.read(i),
            poses[here],
            bones,
            [str(people[row].track) for row in here],
        )


def write_results(
    path: Path,
    video: Video,
    people: Sequence[Person],
    poses: Poses,
    bones: Skeleton,
    about: Mapping[str, Any],
) -> Path:
    """Written beside and renamed. Frames count from 0, as their ids do."""
    seen = torch.cat([poses.keypoints, torch.ones_like(poses.scores)[..., None]], -1)
    document = {
        "info": {"input": str(video.path), **about},
        "categories": [{"id": 1, "name": "person", "keypoints": list(bones.joints)}],
        "images": [
            {"id": i, "frame_id": i, "vid_id": video.path.stem, "file_name": name}
            for i, name in enumerate(video.names)
        ],
        "annotations": [
            {
                "id": row,
                "image_id": person.frame,
                "track_id": person.track,
                "category_id": 1,
                "bbox": rounded(person.box),
                "keypoints": rounded(seen[row]),
                "scores": rounded(poses.scores[row]),
                "spread": rounded(poses.spread[row]),
            }
            for row, person in enumerate(people)
        ],
    }
    return write_json(path, document)


def rounded(x: torch.Tensor) -> list[float]:
    """Of any shape, flat, to 0.001 pixel."""
    return [round(value, 3) for value in x.flatten().tolist()]

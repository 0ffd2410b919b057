"""Time of PoseTrack's average precision: 50 videos of 60 frames with 4 people, drawn.

    python benchmarks/speed_posetrack.py [--repeat 5] [--poseval FOLDER]

Prints seconds on one thread, the best of several runs, by the clock and of the processor, which a
busy machine disturbs less: of assignment and AP on loaded data, and of all with writing of the
results and reading of both sets of files. With --poseval, a checkout of
github.com/svenkreiss/poseval whose requirements are installed, its seconds on the same files too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posediff.metrics.posetrack import average_precision, figures
from posediff.metrics.posetrack_files import read_results, read_truth
from posediff.metrics.result_files import Found, write_posetrack
from posediff.pose.skeleton import skeleton

VIDEOS, FRAMES, PEOPLE = 50, 60, 4


def drawn(rng: np.random.Generator, number: int) -> dict[str, Any]:
    """The annotations of a video, in PoseTrack18's form."""
    name = f"{number:06d}_mpii_test"
    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    place = rng.uniform((200, 200), (1700, 900), (PEOPLE, 2))
    for frame in range(FRAMES):
        image = 10_000_000_000 + number * 10_000 + frame
        region = rng.uniform(0, 300, (2, 6)).round(1).tolist()
        images.append(
            {
                "id": image,
                "frame_id": image,
                "vid_id": f"{number:06d}",
                "file_name": f"images/val/{name}/{frame:06d}.jpg",
                "nframes": FRAMES,
                "is_labeled": True,
                "ignore_regions_x": [region[0]] * (frame % 3 == 0),
                "ignore_regions_y": [region[1]] * (frame % 3 == 0),
            }
        )
        place += rng.normal(0, 4, place.shape)
        for track in range(PEOPLE):
            points = place[track] + rng.normal(0, 60, (17, 2))
            seen = (rng.random(17) < 0.85) & ~np.isin(np.arange(17), (3, 4))
            triples = np.concatenate([points, seen[:, None]], 1) * seen[:, None]
            people.append(
                {
                    "id": image * 100 + track,
                    "image_id": image,
                    "track_id": track,
                    "category_id": 1,
                    "keypoints": triples.round(3).flatten().tolist(),
                    "bbox": [*(place[track] - 150).round(1).tolist(), 300, 300],
                    "bbox_head": [*(place[track] - 25).round(1).tolist(), 50, 50],
                    "scores": [],
                }
            )
    category = {"id": 1, "name": "person", "keypoints": list(skeleton("posetrack17").joints)}
    return {"images": images, "annotations": people, "categories": [category]}


def answers(rng: np.random.Generator, truth: dict[str, dict[str, Any]]) -> Found:
    """Everybody again, some 20 pixels off, with scores."""
    files, rows = [], []
    for document in truth.values():
        name = {image["id"]: image["file_name"] for image in document["images"]}
        files += [name[person["image_id"]] for person in document["annotations"]]
        rows += [person["keypoints"] for person in document["annotations"]]
    slots = [j for j in range(17) if j not in (3, 4)]
    points = np.array(rows).reshape(-1, 17, 3)[:, slots, :2]
    points += rng.normal(0, 12, points.shape)
    scores = torch.from_numpy(rng.random(points.shape[:2]))
    return Found(files, torch.from_numpy(points), scores, scores.mean(1))


def best(run: Callable[[], Any], repeat: int) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter(), time.process_time()
        run()
        seconds.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    wall, processor = zip(*seconds, strict=True)
    return min(wall), min(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--poseval", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    truth = {f"{n:06d}_mpii_test.json": drawn(rng, n) for n in range(1, VIDEOS + 1)}
    found = answers(rng, truth)
    with tempfile.TemporaryDirectory() as folder:
        annotated, results = Path(folder, "truth"), Path(folder, "results")
        annotated.mkdir()
        for name, document in truth.items():
            (annotated / name).write_text(json.dumps(document))

        def everything() -> dict[str, float]:
            write_posetrack(results, truth, found)
            known = read_truth(annotated)
            people = read_results(results, known)
            return figures(average_precision(known, people))

        whole = best(everything, given.repeat)
        known = read_truth(annotated)
        people = read_results(results, known)
        loaded = best(lambda: average_precision(known, people), given.repeat)
        total = everything()["mAP"]
        print(f"{len(known.frames)} frames, {len(people.frame)} poses, mAP {total:.2f}")
        for what, (wall, processor) in (
            ("assignment and AP of loaded data", loaded),
            ("with writing and reading of files", whole),
        ):
            print(f"{what:33} {wall:6.3f} s by the clock, {processor:6.3f} s of the processor")
        if given.poseval:
            command = [sys.executable, "-m", "poseval.evaluate", "--evalPoseEstimation"]
            command += ["-g", f"{annotated}/", "-p", f"{results}/", "-o", folder]
            path = os.pathsep.join([str(given.poseval), os.environ.get("PYTHONPATH", "")])
            environment = os.environ | {"PYTHONPATH": path}
            theirs, _ = best(
                lambda: subprocess.run(command, env=environment, check=True, cwd=given.poseval), 1
            )
            print(f"poseval here, with its start {theirs:.3f} s, ratio {theirs / whole[0]:.1f}")


if __name__ == "__main__":
    main()

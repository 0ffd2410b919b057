"""Small synthetic video data sets in the real file formats, to try out commands and readers.

    python scripts/make_mini_video.py posetrack18 FOLDER    frames and a json file per video
    python scripts/make_mini_video.py posetrack17 FOLDER    the same in PoseTrack17's own form
    python scripts/make_mini_video.py posetrack21 FOLDER    as PoseTrack18, with people's ids
    python scripts/make_mini_video.py jhmdb FOLDER          frames, .mat files, masks, split lists
    python scripts/make_mini_video.py custom_video FOLDER   video files, one json file for all

The poses are those of the synthetic body, and the frames are rendered; they contain no real data,
and results on them do not count.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posediff.data.video.annolist import OFFICIAL
from posediff.data.video.jhmdb import PICTURE
from posediff.data.video.synthetic_video import document
from posediff.files import write_json
from posediff.pose.skeleton import skeleton
from posediff.synthetic.render import Scene
from posediff.synthetic.stage import clip

SIZE = (200, 150)
RATE = 25
Document = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    makers: dict[str, Callable[[Path, int, int], None]] = {
        "posetrack17": posetrack17,
        "posetrack18": posetrack18,
        "posetrack21": posetrack21,
        "jhmdb": jhmdb,
        "custom_video": custom_video,
    }
    parser.add_argument("dataset", choices=makers)
    parser.add_argument("folder", type=Path)
    help = "number of training clips; half as many are for the test (default %(default)s)"
    parser.add_argument("--clips", type=int, default=8, help=help)
    help = "number of frames of a clip (default %(default)s)"
    parser.add_argument("--frames", type=int, default=10, help=help)
    args = parser.parse_args()
    makers[args.dataset](args.folder, args.clips, args.frames)
    count = args.clips + args.clips // 2
    print(f"wrote {args.folder}: {args.dataset} in small, {count} clips of {args.frames} frames")


def posetrack18(
    folder: Path, count: int, frames: int, home: str = "annotations", person_ids: bool = False
) -> None:
    """Frames from 0, 17 joints, every third frame not labelled; and boxes like those of a detector.

    home: the folder of the annotations. person_ids: with PoseTrack21's additions, the id of a
    person, and a flag of an image, if a person is labelled in it.
    """
    boxes = []
    rng = np.random.default_rng(18)
    for part, n, shots in drawn(count, frames):
        name = f"{n:06d}_mini_{part}"
        content = posetrack(name, f"images/{part}/{name}", shots, first=0, digits=6)
        for image in content["images"]:
            image["id"] += (10**6 + n) * 10**4
            image |= {"frame_id": image["id"], "vid_id": f"{n:06d}", "has_no_densepose": True}
        for k, person in enumerate(content["annotations"]):
            person["image_id"] += (10**6 + n) * 10**4
            person["id"] = person["image_id"] * 100 + k
        if person_ids:
            labelled = {person["image_id"] for person in content["annotations"]}
            for image in content["images"]:
                image["has_labeled_person"] = image["id"] in labelled
            for person in content["annotations"]:
                person["person_id"] = 1000 + person["track_id"]
        write_frames(folder, content, shots)
        write_json(folder / f"{home}/{part}/{name}.json", content)
        if part == "val":
            boxes += [detection(rng, person) for person in content["annotations"]]
    write_json(folder / "detections_val.json", boxes)


def posetrack21(folder: Path, count: int, frames: int) -> None:
    posetrack18(folder, count, frames, "posetrack_data", person_ids=True)


def posetrack17(folder: Path, count: int, frames: int) -> None:
    """Frames from 1 and PoseTrack17's own form, where every scalar is a list of one."""
    for part, n, shots in drawn(count, frames):
        name = f"{n:06d}_mini"
        content = posetrack(name, f"images/mini_{part}/{name}", shots, first=1, digits=8)
        write_frames(folder, content, shots)
        people: dict[int, list[Document]] = {image["id"]: [] for image in content["images"]}
        for person in content["annotations"]:
            people[person["image_id"]].append(annorect(person))
        shown = [
            {
                "image": [{"name": image["file_name"]}],
                "imgnum": [number],
                "is_labeled": [int(image["is_labeled"])],
                "ignore_regions": [],
                "annorect": people[image["id"]],
            }
            for number, image in enumerate(content["images"], 1)
        ]
        write_json(folder / f"annotations/{part}/{name}.json", {"annolist": shown})


def jhmdb(folder: Path, count: int, frames: int) -> None:
    """One person in every clip of 320 x 240, joints in pixels from 1, and the box as the mask."""
    from scipy.io import savemat

    lines = []
    for part, n, shots in drawn(count, frames, size=PICTURE, people=1):
        name = f"film{n}_walk_f_cm_np1_fr_goo_{n}"
        masks = np.zeros((PICTURE[1], PICTURE[0], frames), np.uint8)
        for t, shot in enumerate(shots):
            x, y, w, h = shot.boxes[0].astype(int)
            masks[y : y + h, x : x + w, t] = 1
            write_picture(folder / f"Rename_Images/walk/{name}/{t + 1:05d}.png", shot)
        joints = skeleton("jhmdb15").joints
        points = np.stack([[shot.points[joint][0] for joint in joints] for shot in shots], -1) + 1
        for kind, entry, values in (
            ("joint_positions", "pos_img", points.swapaxes(0, 1)),
            ("puppet_mask", "part_mask", masks),
        ):
            path = folder / kind / "walk" / name / f"{kind}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            savemat(path, {entry: values})
        lines.append(f"{name}.avi {1 if part == 'train' else 2}\n")
    for place in ("splits/walk_test_split1.txt", "sub_splits/walk_test_split_1.txt"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text("".join(lines))


def custom_video(folder: Path, count: int, frames: int) -> None:
    """Video files, and one json file each for train and test in PoseTrack18's form."""
    contents: dict[str, Document] = {}
    for part, n, shots in drawn(count, frames):
        content = posetrack(f"clip{n}", f"videos/clip{n}", shots, first=0, digits=6)
        for entry in content["images"]:
            entry["id"] += 1000 * n
        for entry in content["annotations"]:
            entry["image_id"] += 1000 * n
        whole = contents.setdefault(part, {**content, "images": [], "annotations": []})
        for key in ("images", "annotations"):
            whole[key] += content[key]
        write_film(folder / f"videos/clip{n}.avi", shots)
    for part, name in (("train", "train"), ("val", "test")):
        if part in contents:
            write_json(folder / f"annotations_{name}.json", contents[part])


def drawn(
    count: int, frames: int, size: tuple[int, int] = SIZE, people: int = 2
) -> Iterator[tuple[str, int, list[Scene]]]:
    """Part, number and frames of every clip, which depend on its number alone."""
    for n in range(count + count // 2):
        rng = np.random.default_rng([*b"video", n])
        shots = list(clip(rng, size, int(rng.integers(1, people + 1)), frames=frames))
        yield "train" if n < count else "val", n, shots


def posetrack(name: str, home: str, shots: list[Scene], first: int, digits: int) -> Document:
    """A clip in PoseTrack18's form with 17 joints; every third frame is not labelled."""
    slots = skeleton("posetrack17").joints
    content = document(name, shots, skeleton("posetrack15"))
    for n, image in enumerate(content["images"]):
        image["file_name"] = f"{home}/{n + first:0{digits}d}.jpg"
        image["is_labeled"] = n % 3 != 1
        image |= {"ignore_regions_x": [], "ignore_regions_y": []}
    kept = [person for person in content["annotations"] if person["image_id"] % 3 != 1]
    for person in kept:
        rows = by_joint(person, "posetrack15")
        triples = [rows.get(slot, [0, 0, 0]) for slot in slots]
        values = [[x, y, 1] if v else [0, 0, 0] for x, y, v in triples]
        person["keypoints"] = [number for triple in values for number in triple]
        person["scores"] = []
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(slots)}
    return {"images": content["images"], "annotations": kept, "categories": [category]}


def annorect(person: Document) -> Document:
    rows = by_joint(person, "posetrack17")
    points = [
        {"id": [i], "x": [rows[joint][0]], "y": [rows[joint][1]], "is_visible": [1]}
        for i, joint in enumerate(OFFICIAL)
        if rows[joint][2]
    ]
    x, y, w, h = person["bbox_head"]
    corners = {"x1": [x], "y1": [y], "x2": [x + w], "y2": [y + h]}
    return corners | {"track_id": [person["track_id"]], "annopoints": [{"point": points}]}


def by_joint(person: Document, layout: str) -> dict[str, list[float]]:
    rows = np.reshape(person["keypoints"], (-1, 3)).tolist()
    return dict(zip(skeleton(layout).joints, rows, strict=True))


def detection(rng: np.random.Generator, person: Document) -> Document:
    box = np.array(person["bbox"])
    loose = (box + rng.normal(0, 0.05, 4) * np.tile(box[2:], 2)).round(1).tolist()
    about = {"image_id": person["image_id"], "category_id": 1}
    return about | {"bbox": loose, "score": float(rng.uniform(0.3, 1))}


def write_frames(folder: Path, content: Document, shots: list[Scene]) -> None:
    for image, shot in zip(content["images"], shots, strict=True):
        write_picture(folder / image["file_name"], shot)


def write_picture(path: Path, shot: Scene) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), shot.picture[..., ::-1])


def write_film(path: Path, shots: list[Scene]) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = shots[0].picture.shape
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (width, height))
    for shot in shots:
        film.write(np.ascontiguousarray(shot.picture[..., ::-1]))
    film.release()


if __name__ == "__main__":
    main()

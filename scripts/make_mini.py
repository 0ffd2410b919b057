"""Small synthetic data sets in the real file formats, to try out commands and readers.

    python scripts/make_mini.py h36m FOLDER         Human3.6M in VideoPose3D's npz files
    python scripts/make_mini.py h36m_cdf FOLDER     Human3.6M as it is distributed
    python scripts/make_mini.py 3dhp FOLDER         MPI-INF-3DHP as it is distributed
    python scripts/make_mini.py keypoints FOLDER    2D detections in images of 1000 x 1000
    python scripts/make_mini.py coco FOLDER         images with people; crowdpose, aic, lsp, lspet

The poses are those of the synthetic body, and the images are rendered; they contain no real data,
and results on them do not count.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posediff.data.lifting.h36m import BROKEN, KEPT, TEST, TRAIN
from posediff.data.lifting.h36m_cameras import cameras
from posediff.data.lifting.synthetic_people import synthetic
from posediff.data.pictures.lsp import EXTENDED, OWN
from posediff.data.pictures.lsp import JOINTS as LSP_JOINTS
from posediff.data.pictures.synthetic_pictures import TINY
from posediff.files import replacing, write_json
from posediff.pose.camera import project, world_to_camera
from posediff.pose.skeleton import skeleton
from posediff.synthetic.actions import KINDS, motion
from posediff.synthetic.body import build
from posediff.synthetic.render import Scene, labels
from posediff.synthetic.stage import scene

sys.path.append(str(Path(__file__).parent))
from mini_lift3d import h36m_cdf, mpi_inf_3dhp

FRAMES = 50
CLIPS = {  # of Human3.6M: motion of the synthetic body
    "Directions": "talking",
    "Greeting 1": "waving",
    "Photo": "lifting",
    "Sitting": "sitting",
    "SittingDown 1": "sitting",
    "Walking": "walking",
    "Walking 1": "walking",
}
NAMES = {"keypoints": "keypoints_2d", "scores": "scores"}  # key in the file: key in a sample
CPN_ERROR = 5.0  # pixels per axis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    makers = {"h36m": h36m, "h36m_cdf": h36m_cdf, "3dhp": mpi_inf_3dhp, "keypoints": keypoints}
    painters = {
        "coco": (coco, "COCO"),
        "crowdpose": (crowdpose, "CrowdPose"),
        "aic": (aic, "AI Challenger"),
        "lsp": (lsp, "LSP"),
        "lspet": (lspet, "LSP-extended"),
    }
    parser.add_argument("dataset", choices=[*makers, *painters])
    parser.add_argument("folder", type=Path)
    help = "number of training images; half as many are for the test (default %(default)s)"
    parser.add_argument("--pictures", type=int, default=24, help=help)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.dataset in makers:
        makers[args.dataset](args.folder)
    else:
        paint, title = painters[args.dataset]
        count = paint(args.folder, args.pictures)
        print(f"wrote {args.folder}: {title} in small, {count} rendered images")


def h36m(folder: Path) -> None:
    """The three files of VideoPose3D: seven people, the real cameras, 3D of 32 joints, 2D of 17."""
    rng = np.random.default_rng(36)
    poses: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    guessed: dict[str, Any] = {}
    for subject in (*TRAIN, *TEST):
        body = build(rng)
        poses[subject], seen[subject], guessed[subject] = {}, {}, {}
        for name, kind in CLIPS.items():
            world = torch.from_numpy(motion(kind, body, FRAMES + 2, rng)).float()
            world[..., :2] -= world[:, 0, :2].mean(0)  # in the middle, visible to all cameras
            views = [
                project(world_to_camera(world, camera), camera.intrinsics).numpy()
                for camera in cameras(subject)
            ]
            # real detections are also sometimes a few frames longer than the motion capture
            noisy = [view + rng.normal(0, CPN_ERROR, view.shape) for view in views]
            guessed[subject][name] = [view.astype(np.float32) for view in noisy]
            if (subject, name) != BROKEN:
                poses[subject][name] = _all_32(world.numpy())[:FRAMES]
                seen[subject][name] = [view[:FRAMES] for view in views]
    names = skeleton("h36m17").joints
    sides = [[j for j, n in enumerate(names) if n.startswith(side)] for side in ("left", "right")]
    about = {"layout_name": "h36m", "num_joints": len(names), "keypoints_symmetry": sides}
    _save(folder / "data_3d_h36m.npz", positions_3d=poses)
    _save(folder / "data_2d_h36m_gt.npz", positions_2d=seen, metadata=about)
    _save(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=guessed, metadata=about)
    clips = sum(len(x) for x in poses.values())
    print(f"wrote {folder}: Human3.6M in small, {clips} clips of {FRAMES} frames in 4 cameras")


def keypoints(folder: Path) -> None:
    """One frame of every motion, of a person of the test part, in the layout h36m17."""
    data = synthetic("test", clips=len(KINDS))
    seen = data.__getitems__(list(range(len(data))))
    square = (seen["image_size"] == 1000).all(-1).nonzero().flatten()
    chosen = square[:: len(square) // len(KINDS)][: len(KINDS)]
    content = {key: seen[name][chosen].tolist() for key, name in NAMES.items()}
    path = write_json(folder / "keypoints.json", content)
    print(f"wrote {path}: 2D keypoints of {len(chosen)} frames")


def _all_32(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, 17, 3) -> (F, 32, 3); joints that are never read (hands, toes) repeat the one before."""
    return joints[:, np.searchsorted(KEPT, range(32), side="right") - 1]


def coco(folder: Path, count: int) -> int:
    """COCO 2017's files: {train,val}2017/ and annotations/, and boxes like those of a detector.

    Returns the number of images, as the functions below.
    """
    for part, number in ("train", count), ("val", count // 2):
        images, people = [], []
        for n, (shot, _) in enumerate(_scenes(f"coco {part}", number, most=4), start=1):
            file = f"{n:012d}.jpg"
            _photo(folder / f"{part}2017" / file, shot)
            images.append(_image(n, file, shot))
            people += _people(shot, n, "coco17", stored_area=True)
        about = {"categories": [_category("coco17")], "images": images}
        path = folder / f"annotations/person_keypoints_{part}2017.json"
        write_json(path, about | {"annotations": _numbered(people)})
    rng = np.random.default_rng(17)
    boxes = [_detection(rng, person) for person in people for _ in range(rng.integers(1, 3))]
    write_json(folder / "detections_val2017.json", boxes)
    return count + count // 2


def crowdpose(folder: Path, count: int) -> int:
    """CrowdPose's files: images/ and json/; no area, num_keypoints of the limbs, crowdIndex."""
    files: dict[str, dict[str, Any]] = {}
    for part, number in ("train", count), ("val", count // 2), ("test", count // 2):
        images: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        for shot, _ in _scenes(f"crowdpose {part}", number, most=7, apart=0.45):
            n = 100000 + sum(len(x["images"]) for x in files.values()) + len(images)
            _photo(folder / f"images/{n}.jpg", shot)
            here = _people(shot, n, "crowdpose14", limbs=12)
            images.append(_image(n, f"{n}.jpg", shot) | {"crowdIndex": _crowding(here)})
            people += here
        about = {"categories": [_category("crowdpose14", head_top="head", upper_neck="neck")]}
        files[part] = about | {"images": images, "annotations": people}
    both = {key: files["train"][key] + files["val"][key] for key in ("images", "annotations")}
    files["trainval"] = files["train"] | both
    for part, data in files.items():
        people = _numbered(data["annotations"])
        write_json(folder / f"json/crowdpose_{part}.json", data | {"annotations": people})
    return count + count // 2 * 2


def aic(folder: Path, count: int) -> int:
    """AI Challenger's files, and the files in COCO's form that mmpose makes of them."""
    parts = ("train", "20170902", "train", count), ("validation", "20170911", "val", count // 2)
    names = {joint: joint.replace("_", " ").title() for joint in skeleton("aic14").joints}
    names |= {"head_top": "Head top", "upper_neck": "Neck"}
    for name, date, short, number in parts:
        home = folder / f"ai_challenger_keypoint_{name}_{date}"
        images: list[dict[str, Any]] = []
        people: list[dict[str, Any]] = []
        raw = []
        for n, (shot, rng) in enumerate(_scenes(f"aic {name}", number, most=3), start=1):
            image = rng.bytes(20).hex()
            _photo(home / f"keypoint_{name}_images_{date}/{image}.jpg", shot)
            images.append(_image(n, f"{image}.jpg", shot))
            people += _people(shot, n, "aic14")
            raw.append(_aic_entry(image, [p for p in people if p["image_id"] == n]))
        write_json(home / f"keypoint_{name}_annotations_{date}.json", raw)
        about = {"categories": [_category("aic14", **names)], "images": images}
        converted = about | {"annotations": _numbered(people)}
        write_json(folder / f"annotations/aic_{short}.json", converted)
    return count + count // 2


def lsp(folder: Path, count: int) -> int:
    """Leeds Sports Pose: as many test as training images, joints (3, 14, N), 1 = occluded."""
    return _leeds(folder, 2 * count, extended=False)


def lspet(folder: Path, count: int) -> int:
    """LSP-extended: joints (14, 3, N), 1 = labelled; our test is the last tenth."""
    return _leeds(folder, count, extended=True)


def _leeds(folder: Path, count: int, extended: bool) -> int:
    from scipy.io import savemat

    name, *_ = EXTENDED if extended else OWN
    joints = ["upper_neck" if joint == "neck" else joint for joint in LSP_JOINTS]
    rows = []
    shots = _scenes(name, count, most=1, sides=(130, 200), tall=(0.7, 0.85))
    for n, (shot, _) in enumerate(shots, start=1):
        _photo(folder / "images" / name.format(n), shot)
        points = np.concatenate([shot.points[joint] for joint in joints])
        seen = np.concatenate([shot.visible[joint] for joint in joints])
        if extended:
            points[seen == 0] = -1
        flag = seen > 0 if extended else seen < 2
        rows.append(np.concatenate([points, flag[:, None]], 1))
    order = (1, 2, 0) if extended else (2, 1, 0)
    savemat(folder / "joints.mat", {"joints": np.transpose(rows, order)})
    return count


def _scenes(
    name: str,
    count: int,
    most: int,
    apart: float = 1.0,
    sides: tuple[int, int] = (240, 400),
    tall: tuple[float, float] = (0.4, 0.9),
) -> Iterator[tuple[Scene, np.random.Generator]]:
    """Images of one to `most` people and their generators, seeded by name and number."""
    for n in range(count):
        rng = np.random.default_rng([*name.encode(), n])
        size = int(rng.integers(*sides)), int(rng.integers(*sides))
        yield scene(rng, size, int(rng.integers(1, most + 1)), tall, apart), rng


def _people(
    shot: Scene, image: int, layout: str, limbs: int | None = None, stored_area: bool = False
) -> list[dict[str, Any]]:
    """Annotations without ids of the people who are visible enough. limbs: number of leading joints
    that num_keypoints counts; None: all."""
    points, seen = labels(shot, skeleton(layout))
    joints = np.concatenate([points, seen[..., None]], -1)
    people = []
    for n in np.flatnonzero(shot.area > TINY):
        values = [round(float(x), 1) if i % 3 < 2 else int(x) for i, x in enumerate(joints[n].flat)]
        person = {"image_id": image, "category_id": 1, "keypoints": values, "iscrowd": 0}
        count = int((seen[n, :limbs] > 0).sum())
        person |= {"bbox": shot.boxes[n].tolist(), "num_keypoints": count}
        people.append(person | ({"area": float(shot.area[n])} if stored_area else {}))
    return people


def _crowding(people: list[dict[str, Any]]) -> float:
    """CrowdPose's index: joints of others in a person's box / own joints there, mean of people."""
    shares = []
    for person in people:
        x, y, w, h = person["bbox"]
        inside = [0, 0]
        for other in people:
            joints = np.reshape(other["keypoints"], (-1, 3))
            within = (joints[:, :2] >= (x, y)) & (joints[:, :2] <= (x + w, y + h))
            inside[other is person] += int((within.all(1) & (joints[:, 2] > 0)).sum())
        shares.append(inside[0] / max(inside[1], 1))
    return round(float(np.mean(shares)), 2) if shares else 0.0


def _aic_entry(image: str, people: list[dict[str, Any]]) -> dict[str, Any]:
    """The data set's own form: corners of boxes; 1 visible, 2 occluded, 3 absent."""
    boxes, joints = {}, {}
    for n, person in enumerate(people, start=1):
        x, y, w, h = map(int, person["bbox"])
        flags = {2: 1, 1: 2, 0: 3}
        values = [round(v) if i % 3 < 2 else flags[v] for i, v in enumerate(person["keypoints"])]
        boxes[f"human{n}"], joints[f"human{n}"] = [x, y, x + w, y + h], values
    return {"image_id": image, "human_annotations": boxes, "keypoint_annotations": joints}


def _detection(rng: np.random.Generator, person: dict[str, Any]) -> dict[str, Any]:
    box = np.array(person["bbox"])
    loose = box + rng.normal(0, 0.05, 4) * np.tile(box[2:], 2)
    about = {"image_id": person["image_id"], "category_id": 1}
    return about | {"bbox": loose.tolist(), "score": float(rng.uniform(0.3, 1))}


def _category(layout: str, **names: str) -> dict[str, Any]:
    """names: of joints in the file, if they differ from ours."""
    known = skeleton(layout)
    return {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": [names.get(joint, joint) for joint in known.joints],
        "skeleton": [[a + 1, b + 1] for a, b in known.edges],
    }


def _image(number: int, file: str, shot: Scene) -> dict[str, Any]:
    height, width = shot.picture.shape[:2]
    return {"id": number, "file_name": file, "width": width, "height": height}


def _numbered(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [person | {"id": n} for n, person in enumerate(people, start=1)]


def _photo(path: Path, shot: Scene) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), shot.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def _save(path: Path, **entries: Any) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **entries)


if __name__ == "__main__":
    main()

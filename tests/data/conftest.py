"""Small annotated images in COCO's form and videos in PoseTrack18's, for tests to change."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

NAMES = ["left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist"]
NAMES += ["right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"]
NAMES += ["right_ankle", "head", "neck"]


class Photos:
    """A folder with images/ and people.json, in CrowdPose's layout of joints."""

    def __init__(self, root: Path) -> None:
        self.root, self.file, self.images = root, root / "people.json", root / "images"
        self.images.mkdir()
        self.data: dict[str, Any] = {
            "images": [],
            "categories": [{"id": 1, "name": "person", "keypoints": NAMES}],
            "annotations": [],
        }

    def picture(self, pixels: NDArray[np.uint8], name: str = "") -> int:
        """Write RGB (h, w, 3); the id of the image."""
        import cv2

        number = len(self.data["images"]) + 1
        name = name or f"{number}.png"
        cv2.imwrite(str(self.images / name), pixels[..., ::-1])
        height, width = pixels.shape[:2]
        about = {"id": number, "file_name": name, "width": width, "height": height}
        self.data["images"].append(about)
        return number

    def person(self, image: int, points: NDArray[Any], flags: Any = 2, **more: Any) -> None:
        """Add a person: points (14, 2), flags (14,) or one for all."""
        rows = np.concatenate([points, np.broadcast_to(flags, 14)[:, None]], 1)
        low, size = points.min(0), np.ptp(points, 0)
        entry = {
            "id": len(self.data["annotations"]) + 1,
            "image_id": image,
            "category_id": 1,
            "keypoints": rows.flatten().tolist(),
            "bbox": [*low.tolist(), *size.tolist()],
            "area": float(size.prod() / 2),
        }
        self.data["annotations"].append(entry | more)

    def save(self) -> Path:
        self.file.write_text(json.dumps(self.data))
        return self.file


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path)


@pytest.fixture
def two(photos: Photos) -> Photos:
    """Two people in one grey image of 80 x 60, saved."""
    rng = np.random.default_rng(0)
    image = photos.picture(np.full((60, 80, 3), 90, np.uint8))
    for left in (5, 40):
        photos.person(image, rng.uniform((left, 5), (left + 30, 50), (14, 2)).round(2))
    photos.save()
    return photos


SLOTS = ["nose", "head_bottom", "head_top", "left_ear", "right_ear"]
SLOTS += [f"{side}_{part}" for part in ("shoulder", "elbow", "wrist") for side in ("left", "right")]
SLOTS += [f"{side}_{part}" for part in ("hip", "knee", "ankle") for side in ("left", "right")]


class Videos:
    """A folder with PoseTrack18's files, annotations/<part>/<video>.json and images/."""

    size = (64, 48)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, dict[str, Any]] = {}

    def video(self, name: str, frames: Any = 5, first: int = 0, part: str = "train") -> Any:
        """Write grey frames of brightness 10 n; the document. frames: their number or numbers."""
        import cv2

        numbers = range(first, first + frames) if isinstance(frames, int) else frames
        folder, images = self.root / "images" / name, []
        folder.mkdir(parents=True)
        for n in numbers:
            grey = np.full((self.size[1], self.size[0], 3), 10 * n % 256, np.uint8)
            cv2.imwrite(str(folder / f"{n:06d}.png"), grey)
            images.append({"id": 1000 + n, "file_name": f"images/{name}/{n:06d}.png"})
        for image in images:
            image |= {"vid_id": name, "nframes": len(images), "is_labeled": True}
            image["frame_id"] = image["id"]  # as some files have it
        document = {
            "images": images,
            "categories": [{"id": 1, "name": "person", "keypoints": [*SLOTS]}],
            "annotations": [],
        }
        self.files[f"annotations/{part}/{name}.json"] = document
        return document

    def person(self, document: Any, place: int, track: int = 0, **more: Any) -> dict[str, Any]:
        """Add a person with all joints but the ears to the frame at this place."""
        rng = np.random.default_rng([place, track])
        points = rng.uniform((12, 8), (52, 40), (17, 2)).round(1)
        rows = np.concatenate([points, np.ones((17, 1))], 1)
        rows[3:5] = 0
        low, extent = points.min(0), np.ptp(points, 0)
        entry = {
            "id": len(document["annotations"]),  # from 0, as keys may be
            "image_id": document["images"][place]["id"],
            "track_id": track,
            "category_id": 1,
            "keypoints": rows.flatten().tolist(),
            "bbox": [*low.tolist(), *extent.tolist()],
            "bbox_head": [20.0, 10.0, 6.0, 8.0],
            "scores": [],
        }
        document["annotations"].append(entry | more)
        return document["annotations"][-1]

    def save(self) -> Path:
        for name, document in self.files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document))
        return self.root


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    return Videos(tmp_path)


@pytest.fixture
def walk(videos: Videos) -> Videos:
    """One video of five frames with one person in each, saved."""
    document = videos.video("walk")
    for place in range(5):
        videos.person(document, place)
    videos.save()
    return videos

"""Small annotated photographs in COCO's form, to be spoilt."""

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
        """RGB (h, w, 3) -> its id."""
        import cv2

        number = len(self.data["images"]) + 1
        name = name or f"{number}.png"
        cv2.imwrite(str(self.images / name), pixels[..., ::-1])
        height, width = pixels.shape[:2]
        about = {"id": number, "file_name": name, "width": width, "height": height}
        self.data["images"].append(about)
        return number

    def person(self, image: int, points: NDArray[Any], flags: Any = 2, **more: Any) -> None:
        """points (14, 2), flags (14,) or one for all."""
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
    """Two people in one grey picture of 80 x 60, saved."""
    rng = np.random.default_rng(0)
    image = photos.picture(np.full((60, 80, 3), 90, np.uint8))
    for left in (5, 40):
        photos.person(image, rng.uniform((left, 5), (left + 30, 50), (14, 2)).round(2))
    photos.save()
    return photos

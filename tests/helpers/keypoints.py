"""Three frames of five joints, and the text files that hold them."""

import json

import numpy as np

J = 5
RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 1000, (3, J, 2)).round(3)
SCORES = np.array([[1, 0.5, 0, 0.25, 1]] * 3)
FULL = np.concatenate([POINTS, SCORES[..., None]], -1)
KEPT = np.where(SCORES[..., None] == 0, 0, POINTS)  # a missing joint lies at (0, 0)


def save_json(path, data):
    path.write_text(json.dumps(data))


def save_csv(path, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")


def coco(image, row):
    return {"image_id": image, "keypoints": row.ravel().tolist(), "score": 0.9}

"""An exported model with ONNX Runtime and NumPy alone; no posediff, no torch.

python scripts/run_exported.py exported              numbers drawn for input, to see it run
python scripts/run_exported.py exported people.npz   arrays by the names in export.json
python scripts/run_exported.py exported photo.npy 40 25 180 400    RGB (h, w, 3) and a box xywh
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def crop(photo: np.ndarray, box: np.ndarray, about: dict) -> dict[str, np.ndarray]:
    """The input of a model of pictures: the crop of a person, and its matrix."""
    size, (x, y, w, h) = np.array(about["size"]), box
    width = max(w, h * size[0] / size[1])
    scale = about["padding"] * np.array([width, width * size[1] / size[0]])
    stretch = (size - about["udp"]) / scale
    corner = np.array([x + w / 2, y + h / 2]) - scale / 2
    affine = np.concatenate([np.diag(stretch), -(stretch * corner)[:, None]], 1)
    u, v = (np.arange(n) / s + c for n, s, c in zip(size, stretch, corner, strict=True))
    image = bilinear(photo.astype(np.float64), *np.meshgrid(u, v))
    image = (image - about["mean"]) / about["std"]
    return {"image": image.transpose(2, 0, 1)[None], "affine": affine[None]}


def bilinear(photo: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The picture at (u, v), black outside."""
    padded = np.pad(photo, ((1, 2), (1, 2), (0, 0)))
    u, v = u.clip(-1, photo.shape[1]) + 1, v.clip(-1, photo.shape[0]) + 1
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    a, b = (v - i)[..., None], (u - j)[..., None]
    top = (1 - b) * padded[i, j] + b * padded[i, j + 1]
    return (1 - a) * top + a * ((1 - b) * padded[i + 1, j] + b * padded[i + 1, j + 1])


def run(folder: Path, values: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of an answer; what is missing in `values`, noise first of all, is drawn."""
    about = json.loads((folder / "export.json").read_text())
    values, random = dict(values), np.random.default_rng(seed)
    batch = len(next(iter(values.values()))) if values else 2
    for graph in about["graphs"]:
        for name, entry in graph["inputs"].items():
            draw = random.normal if name.startswith("normal") else random.random
            if name not in values:
                values[name] = draw(size=(batch, *entry["shape"][1:]))
                if about["sampler"]["opposite"] and name.startswith("normal"):
                    values[name][:, 1::2] = -values[name][:, : 2 * (values[name].shape[1] // 2) : 2]
        session = onnxruntime.InferenceSession(folder / graph["files"]["onnx"])
        inputs = {n: values[n].astype(e["dtype"]) for n, e in graph["inputs"].items()}
        values |= dict(zip(graph["outputs"], session.run([*graph["outputs"]], inputs), strict=True))
    return {name: values[name] for name in graph["outputs"]}


if __name__ == "__main__":
    folder, *rest = sys.argv[1:]
    about, given = json.loads((Path(folder) / "export.json").read_text()), {}
    if len(rest) == 1:
        given = dict(np.load(rest[0]))
    elif rest:
        given = crop(np.load(rest[0]), np.array(rest[1:], float), about["preprocessing"])
    for joint, (point, spread) in zip(
        about["skeleton"]["joints"],
        zip(
            (answer := run(Path(folder), given))["answer_keypoints"][0],
            answer["answer_spread"][0],
            strict=True,
        ),
        strict=True,
    ):
        print(f"{joint:16}", point.round(3), "+-", round(float(spread), 3))

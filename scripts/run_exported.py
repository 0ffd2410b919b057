"""An exported model with ONNX Runtime and NumPy alone.

python scripts/run_exported.py exported                inputs are drawn, to see it run
python scripts/run_exported.py exported people.npz     inputs by the names in export.json
python scripts/run_exported.py exported photo.npy 40 25 180 400     RGB (h, w, 3), box x, y, w, h
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def crop(photo: np.ndarray, box: np.ndarray, about: dict) -> dict[str, np.ndarray]:
    """The input of a model of pictures: the crop of a person, and its matrix."""
    size, (x, y, w, h) = np.array(about["size"]), box
    scale = about["padding"] * max(w / size[0], h / size[1]) * size
    stretch, corner = (size - about["udp"]) / scale, np.array([x + w / 2, y + h / 2]) - scale / 2
    affine = np.concatenate([np.diag(stretch), -(stretch * corner)[:, None]], 1)
    u, v = np.meshgrid(
        *(np.arange(n) / s + c for n, s, c in zip(size, stretch, corner, strict=True))
    )
    u, v = (t.clip(-1, n) + 1 for t, n in ((u, photo.shape[1]), (v, photo.shape[0])))
    i, j = np.floor(v).astype(int), np.floor(u).astype(int)
    a, b = (v - i)[..., None], (u - j)[..., None]
    p = np.pad(photo.astype(float), ((1, 2), (1, 2), (0, 0)))  # black outside
    above, below = ((1 - b) * p[k, j] + b * p[k, j + 1] for k in (i, i + 1))
    image = ((1 - a) * above + a * below - about["mean"]) / about["std"]
    return {"image": image.transpose(2, 0, 1)[None], "affine": affine[None]}


def run(folder: Path, values: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """The arrays of an answer. Inputs that are not among `values`, such as noise, are drawn."""
    about, random = json.loads((folder / "export.json").read_text()), np.random.default_rng(seed)
    values, batch = dict(values), len(next(iter(values.values()), "ab"))
    for graph in about["graphs"]:
        for name, entry in graph["inputs"].items():
            if name not in values:
                normal, shape = name.startswith("normal_"), (batch, *entry["shape"][1:])
                values[name] = x = random.normal(size=shape) if normal else random.random(shape)
                if about["sampler"]["opposite"] and name.startswith(("normal_", "uniform_")):
                    x[:, 1::2] = (-1 if normal else 1) * x[:, : x.shape[1] // 2 * 2 : 2]
        session = onnxruntime.InferenceSession(folder / graph["files"]["onnx"])
        inputs = {name: values[name].astype(x["dtype"]) for name, x in graph["inputs"].items()}
        answer = dict(zip(graph["outputs"], session.run([*graph["outputs"]], inputs), strict=True))
        values |= answer
    return answer


if __name__ == "__main__":
    folder, about = Path(sys.argv[1]), json.loads(Path(sys.argv[1], "export.json").read_text())
    given = dict(np.load(sys.argv[2])) if len(sys.argv) == 3 else {}
    if len(sys.argv) > 3:
        given = crop(np.load(sys.argv[2]), np.array(sys.argv[3:], float), about["preprocessing"])
    answer = run(folder, given)
    points, spreads = answer["answer_keypoints"], answer["answer_spread"]
    for at in np.ndindex(spreads.shape):
        print(*at[:-1], f"{about['skeleton']['joints'][at[-1]]:16}", points[at], "+-", spreads[at])

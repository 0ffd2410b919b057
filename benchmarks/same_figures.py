"""All figures of one tiny run of every method, to compare two versions of the code bit by bit.

    python benchmarks/same_figures.py FIGURES.json           train, evaluate and predict
    python benchmarks/same_figures.py --compare A.json B.json

The methods run on the drawn data sets, with one thread and in a temporary folder, so equal code
gives equal files on one machine. What is kept of every run: the loss of every step, every figure of
metrics.json, and checksums of the predicted arrays. Takes some minutes. The figures say nothing
about the methods.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
# Before the key was split, dataset.frames was the window of a lifter and the length of a clip.
SPLIT = any("\nwindow:" in path.read_text() for path in (ROOT / "conf/dataset").glob("*.yaml"))
WINDOW = f"dataset.{'window' if SPLIT else 'frames'}=9"
LENGTH = f"dataset.{'length' if SPLIT else 'frames'}=6"

LIMIT = ("debug=limit", "device=cpu")
LIFT = ("dataset=synthetic", "dataset.clips=3", "dataset.length=30")
WINDOWS = (*LIFT, WINDOW, "trainer.recipe.batch_size=8")
PICTURES = ("dataset=synthetic_pictures", "dataset.pictures=12", "trainer=people_minutes")
CLIPS = ("dataset=synthetic_video", "dataset.clips=2", LENGTH, "trainer=people_minutes")
CLIPS = (*CLIPS, "trainer.recipe.batch_size=4", "trainer.recipe.epoch_samples=12")
MIXSTE = ("width=32", "depth=2", "heads=4")

# name: what train, eval and predict are told; the first of a kind is what the others stand on
RUNS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "lift3d_encoder": ("experiment=lift3d_encoder", LIFT, ()),
    "lift3d_paper": ("task=lift3d", LIFT, ()),
    "lift3d_official_frame": ("task=lift3d preset=official_frame", LIFT, ()),
    "lift3d_video_encoder": (
        "experiment=lift3d_video_encoder",
        WINDOWS,
        tuple(f"model.head.{x}" for x in MIXSTE),
    ),
    "lift3d_paper_video": ("task=lift3d preset=paper_video", WINDOWS, ()),
    "lift3d_official_video": ("task=lift3d preset=official_video", WINDOWS, ()),
    "lift3d_d3dp": (
        "task=lift3d preset=d3dp",
        WINDOWS,
        tuple(f"task.head.{x}" for x in MIXSTE),
    ),
    "image2d_coarse": ("experiment=image2d_coarse", PICTURES, ()),
    "image2d_sgdd_light": ("task=image2d preset=sgdd_light", PICTURES, ()),
    "image2d_sgdd_flip_off": ("task=image2d preset=sgdd_noise", PICTURES, ("task.flip=false",)),
    "video2d_plain": ("experiment=video2d_plain", CLIPS, ()),
    "video2d": ("task=video2d", CLIPS, ()),
}
DATA = ("dataset", "dataset.clips", "dataset.length", "dataset.pictures", WINDOW.split("=")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--compare", action="store_true", help="two files of figures")
    parser.add_argument("--only", default="", help="runs whose names contain this")
    args = parser.parse_args()
    if args.compare:
        before, after = (json.loads(path.read_text()) for path in args.files)
        sys.exit(compare(before, after))
    with tempfile.TemporaryDirectory() as folder:
        found = dict(runs(Path(folder), args.only))
    args.files[0].write_text(json.dumps(found, indent=1) + "\n")
    print(args.files[0])


def runs(folder: Path, only: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and figures of every run."""
    inputs = made_inputs(folder)
    for name, (method, data, more) in RUNS.items():
        if only not in name:
            continue
        task, options = name.split("_")[0], [*method.split(), *data]
        run(folder, "-m", "posediff.train", *options, *more, *LIMIT, f"name={name}")
        at = folder / "runs" / task / value(data, "dataset") / name
        chosen = [o for o in options if o.split("=")[0] in (*DATA, "task", "experiment")]
        chosen += [f"checkpoint={at}/checkpoints/best", "device=cpu"]
        run(folder, "-m", "posediff.eval", *chosen, f"name={name}-eval")
        run(folder, "-m", "posediff.predict", *chosen, *inputs[task], f"output={name}")
        scored = at.with_name(f"{name}-eval") / "metrics.json"
        steps = [json.loads(line) for line in (at / "log.jsonl").read_text().splitlines()]
        yield (
            name,
            {
                "losses": [step["loss"] for step in steps],
                "metrics": json.loads(scored.read_text())["metrics"],
                "predicted": dict(predicted(folder / name)),
            },
        )
        print(name, flush=True)


def made_inputs(folder: Path) -> dict[str, list[str]]:
    """Inputs of predict, by task."""
    run(folder, ROOT / "scripts/make_mini.py", "keypoints", "in")
    run(folder, ROOT / "scripts/make_mini.py", "coco", "coco", "--pictures", "4")
    run(folder, ROOT / "scripts/make_mini_video.py", "custom_video", "video", "--clips", "2")
    photo = min((folder / "coco").rglob("*.jpg"))
    film = min(path for path in (folder / "video").rglob("*.*") if path.suffix in (".mp4", ".avi"))
    return {
        "lift3d": ["input=in/keypoints.json", "layout=h36m17", "image_size=[1000,1000]"],
        "image2d": [f"input={photo}", "heatmaps=false"],
        "video2d": [f"input={film}"],
    }


def run(folder: Path, *arguments: str | Path) -> None:
    """Python with these arguments in `folder`; ends this process if it fails."""
    paths = {"POSEDIFF_RUNS": str(folder / "runs"), "POSEDIFF_DATA": str(folder / "data")}
    single = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, arguments)]
    ran = subprocess.run(
        command, cwd=folder, env=os.environ | paths | single, capture_output=True, text=True
    )
    if ran.returncode:
        sys.exit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")


def value(options: tuple[str, ...], key: str) -> str:
    return next(o.partition("=")[2] for o in options if o.startswith(f"{key}="))


def predicted(folder: Path) -> Iterator[tuple[str, str]]:
    """Checksums of the arrays of poses.npz, and of the people in results.json."""
    if (folder / "poses.npz").is_file():
        with np.load(folder / "poses.npz") as arrays:
            for key in ("keypoints", "hypotheses", "spread", "scores"):
                yield key, checksum(arrays[key].tobytes())
    if (folder / "results.json").is_file():
        found = json.loads((folder / "results.json").read_text())
        people = found["annotations"] if isinstance(found, dict) else found
        kept = [[p["keypoints"], p.get("score"), p.get("scores"), p.get("spread")] for p in people]
        yield "people", checksum(json.dumps(kept).encode())


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Prints every figure that differs, or is in one file alone; their number."""
    a, b = dict(flat(before)), dict(flat(after))
    differ = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    for key in differ:
        print(f"{key}: {a.get(key)} -> {b.get(key)}")
    print(f"{len(a)} figures before, {len(b)} after, {len(differ)} differ")
    return min(len(differ), 1)


def flat(tree: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict | list):
        for key, x in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from flat(x, f"{at} {key}".strip())
    else:
        yield at, tree


if __name__ == "__main__":
    main()

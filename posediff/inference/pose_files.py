"""Predicted poses as files: poses.npz for programs, poses.json for people and other languages.

Both hold the same: F frames, K hypotheses, J joints, metres, the root joint at 0, in the camera's
directions (x right, y down, z forward).

    poses.npz   keypoints (F, J, 3), hypotheses (F, K, J, 3), spread (F, J), scores (F, J), all
                float32; frames (F,) their names, track and number (F,) whose and when, joints
                (J,), edges (E, 2), skeleton, unit "metre", meta (a JSON text). No pickle:
                np.load(path, allow_pickle=False) reads it.
    poses.json  {"format", "version", "unit", "axes", "skeleton", "joints", "edges", "root",
                 "meta", "poses": [{"frame", "track", "number", "mean_spread", "keypoints":
                 [[x, y, z], ...], "spread": [...], "scores": [...], "hypotheses":
                 [[[x, y, z], ...], ...]}, ...]}
                Lists over joints follow "joints"; a line per joint, rounded to 0.01 mm.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.diffusion.aggregate import Poses
from posediff.files import replacing
from posediff.pose.skeleton import Skeleton

AXES = "camera: x right, y down, z forward; the root joint is the origin"


def write_poses(
    folder: str | Path,
    poses: Poses,
    frames: Sequence[str],
    skeleton: Skeleton,
    meta: Mapping[str, Any],
    tracks: Sequence[int] | NDArray[np.int64] | None = None,
    numbers: Sequence[int] | NDArray[np.int64] | None = None,
) -> tuple[Path, Path]:
    """Write poses.npz and poses.json into the folder, each beside and renamed; their paths.

    `frames` names the rows, `meta` is what a reader of the files should know (JSON values),
    `tracks` say whose the rows are and `numbers` when (None: one person in successive frames). A
    pose that is not finite is a ValueError that names frame and joint, and nothing is written.
    """
    arrays = _arrays(poses, frames, skeleton)
    arrays["track"] = np.zeros(len(frames), np.int64) if tracks is None else np.asarray(tracks)
    arrays["number"] = np.arange(len(frames)) if numbers is None else np.asarray(numbers)
    text = _as_text(arrays, frames, skeleton, meta)
    npz, readable = Path(folder) / "poses.npz", Path(folder) / "poses.json"
    with replacing(npz) as part, replacing(readable) as text_part:
        np.savez_compressed(
            part,
            **arrays,
            frames=np.array(frames, dtype=np.str_),
            joints=np.array(skeleton.joints),
            edges=np.array(skeleton.edges),
            skeleton=np.array(skeleton.name),
            unit=np.array("metre"),
            meta=np.array(json.dumps(meta)),
        )
        text_part.write_text(text, encoding="utf-8")
    return npz, readable


def _arrays(poses: Poses, frames: Sequence[str], skeleton: Skeleton) -> dict[str, Any]:
    if poses.skeleton != skeleton.name:
        raise ValueError(f"poses of {poses.skeleton} cannot be written as {skeleton.name}")
    if len(frames) != len(poses.keypoints):
        raise ValueError(f"{len(frames)} frame names for {len(poses.keypoints)} poses")
    arrays = {
        name: getattr(poses, name).detach().float().cpu().numpy()
        for name in ("keypoints", "hypotheses", "spread", "scores")
    }
    for name, array in arrays.items():
        for index in np.argwhere(~np.isfinite(array))[:1]:
            entry = f"{name}{index[1:].tolist()}"
            raise ValueError(f"frame {frames[index[0]]}: {entry} is not finite; nothing is written")
    return arrays


def _as_text(
    arrays: dict[str, Any], frames: Sequence[str], skeleton: Skeleton, meta: Mapping[str, Any]
) -> str:
    root = None if skeleton.root is None else skeleton.joints[skeleton.root]
    head = {
        "format": "posediff-poses",
        "version": 1,
        "unit": "metre",
        "axes": AXES,
        "skeleton": skeleton.name,
        "joints": skeleton.joints,
        "edges": skeleton.edges,
        "root": root,
        "meta": meta,
    }
    rounded = {
        name: np.round(array.astype(np.float64), 5)
        for name, array in arrays.items()
        if array.dtype.kind == "f"
    }
    poses = [
        {
            "frame": frame,
            "track": int(arrays["track"][i]),
            "number": int(arrays["number"][i]),
            "mean_spread": round(float(rounded["spread"][i].mean()), 5),
            **{k: rounded[k][i].tolist() for k in ("keypoints", "spread", "scores", "hypotheses")},
        }
        for i, frame in enumerate(frames)
    ]
    text = json.dumps(head | {"poses": poses}, indent=2, allow_nan=False)
    return re.sub(r"\[(\n[^\[\]{}]+)\]", _on_one_line, text) + "\n"


def _on_one_line(innermost: re.Match[str]) -> str:
    """A joint as [x, y, z], not as five lines; strings hold no line breaks in JSON."""
    return "[" + re.sub(r"\n\s*", " ", innermost[1].strip()) + "]"

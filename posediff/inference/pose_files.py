"""Predicted poses as files: poses.npz for programs, poses.json for people and other languages.

Both have the same content: F frames, K hypotheses, J joints, in metres from the root joint, in the
directions of the camera (x right, y down, z forward).

    poses.npz   keypoints (F, J, 3), hypotheses (F, K, J, 3), spread (F, J), scores (F, J), all
                float32; frames (F,) names, track and number (F,) of the person and of the frame,
                joints (J,), edges (E, 2), skeleton, unit "metre", meta (a JSON text). No pickle:
                np.load(path, allow_pickle=False) reads it.
    poses.json  {"format", "version", "unit", "axes", "skeleton", "joints", "edges", "root",
                 "meta", "poses": [{"frame", "track", "number", "mean_spread", "keypoints":
                 [[x, y, z], ...], "spread": [...], "scores": [...], "hypotheses":
                 [[[x, y, z], ...], ...]}, ...]}
                Lists over joints have the order of "joints"; a line per joint, rounded to 0.01 mm.
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

NAMES = ("poses.npz", "poses.json")
AXES = "camera: x right, y down, z forward; the root joint is the origin"


def write_poses(
    folder: str | Path,
    poses: Poses,
    frames: Sequence[str],
    skeleton: Skeleton,
    meta: Mapping[str, Any],
    tracks: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> tuple[Path, Path]:
    """Write poses.npz and poses.json into the folder, each beside its place and then renamed.

    frames, tracks, numbers: of every pose the name of its frame, the number of the person and that
    of the frame. meta: JSON values for the readers of the files. Returns the paths.

    Raises ValueError if the poses have another skeleton or number than given, or if one is not
    finite; nothing is written then.
    """
    arrays = _arrays(poses, frames, skeleton)
    text = _text(arrays, frames, skeleton, meta, tracks, numbers)
    npz, readable = (Path(folder) / name for name in NAMES)
    with replacing(npz) as part, replacing(readable) as text_part:
        np.savez_compressed(
            part,
            **arrays,
            track=tracks,
            number=numbers,
            frames=np.array(frames, dtype=np.str_),
            joints=np.array(skeleton.joints),
            edges=np.array(skeleton.edges),
            skeleton=np.array(skeleton.name),
            unit=np.array("metre"),
            meta=np.array(json.dumps(meta)),
        )
        text_part.write_text(text, encoding="utf-8")
    return npz, readable


def _text(
    arrays: Mapping[str, Any],
    frames: Sequence[str],
    skeleton: Skeleton,
    meta: Mapping[str, Any],
    tracks: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> str:
    """The content of poses.json, to 0.00001."""
    rounded = {name: np.round(array.astype(np.float64), 5) for name, array in arrays.items()}
    content = {
        "format": "posediff-poses",
        "version": 1,
        "unit": "metre",
        "axes": AXES,
        "skeleton": skeleton.name,
        "joints": skeleton.joints,
        "edges": skeleton.edges,
        "root": None if skeleton.root is None else skeleton.joints[skeleton.root],
        "meta": meta,
        "poses": [
            {
                "frame": frame,
                "track": int(tracks[i]),
                "number": int(numbers[i]),
                "mean_spread": round(float(rounded["spread"][i].mean()), 5),
                **{
                    name: rounded[name][i].tolist()
                    for name in ("keypoints", "spread", "scores", "hypotheses")
                },
            }
            for i, frame in enumerate(frames)
        ],
    }
    text = json.dumps(content, indent=2, allow_nan=False)
    return re.sub(r"\[(\n[^\[\]{}]+)\]", _on_one_line, text) + "\n"


def _arrays(poses: Poses, frames: Sequence[str], skeleton: Skeleton) -> dict[str, Any]:
    if poses.skeleton != skeleton.name:
        raise ValueError(f"poses of {poses.skeleton} cannot be written as {skeleton.name}")
    if len(frames) != len(poses):
        raise ValueError(f"{len(frames)} frame names for {len(poses)} poses")
    arrays = {
        name: getattr(poses, name).detach().float().cpu().numpy()
        for name in ("keypoints", "hypotheses", "spread", "scores")
    }
    for name, array in arrays.items():
        for index in np.argwhere(~np.isfinite(array))[:1]:
            entry = f"{name}{index[1:].tolist()}"
            raise ValueError(f"frame {frames[index[0]]}: {entry} is not finite; nothing is written")
    return arrays


def _on_one_line(innermost: re.Match[str]) -> str:
    """A joint as [x, y, z], not as five lines; strings contain no line breaks in JSON."""
    return "[" + re.sub(r"\n\s*", " ", innermost[1].strip()) + "]"

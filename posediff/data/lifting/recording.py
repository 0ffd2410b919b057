"""The files of dataset=mocap: clips of 17 joints in one compressed npz.

pos_delta (N, 17, 3) integer    successive differences, clip after clip, in units
start, length                   per clip: its rows of pos_delta; the first is a position
name, subject, action           per clip
source, split, native_fps       per clip: its origin, train or test, its rate as recorded
joints, fps, unit_mm            for all: names, 50, millimetres per unit

clip = unit_mm * cumsum(pos_delta[start : start + length])     millimetres, world, z up
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors.numpy_door import read_npz
from posediff.files import replacing

FPS = 50  # of every clip
UNIT = 0.25  # millimetres, of written files
JOINTS = (
    "pelvis r_hip r_knee r_ankle l_hip l_knee l_ankle spine thorax neck head "
    "l_shoulder l_elbow l_wrist r_shoulder r_elbow r_wrist"
)
WORDS = ("name", "subject", "action", "source", "split")
PER_CLIP = {"start": "i", "length": "i", "native_fps": "f"} | dict.fromkeys(WORDS, "U")  # kinds
SPLITS = {"train", "test"}


@dataclass(frozen=True)
class Recording:
    name: str
    subject: str
    action: str
    source: str
    split: str
    native_fps: float
    joints: NDArray[np.floating[Any]]  # (F, 17, 3) millimetres


def write(path: Path, recordings: Sequence[Recording]) -> None:
    """Write the file, rounded to 0.25 mm. Raises ValueError for joints that are not finite or too
    far away."""
    deltas = np.concatenate([_deltas(path, recording) for recording in recordings])
    lengths = np.array([len(recording.joints) for recording in recordings], np.int32)
    # 16 bits reach 8 m from the origin, further than the cameras see
    fits = np.abs(deltas).max() <= np.iinfo(np.int16).max
    entries: dict[str, Any] = {
        "pos_delta": deltas.astype(np.int16) if fits else deltas.astype(np.int32),
        "start": (np.cumsum(lengths) - lengths).astype(np.int32),
        "length": lengths,
        "native_fps": np.array([recording.native_fps for recording in recordings], np.float32),
        "joints": np.array(JOINTS.split()),
        "fps": np.float32(FPS),
        "unit_mm": np.float32(UNIT),
    }
    for word in WORDS:
        entries[word] = np.array([getattr(recording, word) for recording in recordings])
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **entries)


def read(path: Path) -> list[Recording]:
    """The clips of a file. Raises ValueError if the file is damaged or an entry is wrong."""
    data = _entries(path)
    _check(path, data)
    unit = float(data["unit_mm"])
    clips = []
    for n, (start, length) in enumerate(zip(data["start"], data["length"], strict=True)):
        joints = unit * np.cumsum(data["pos_delta"][start : start + length], 0, dtype=np.int64)
        words = {word: str(data[word][n]) for word in WORDS}
        clips.append(Recording(**words, native_fps=float(data["native_fps"][n]), joints=joints))
    return clips


def _deltas(path: Path, recording: Recording) -> NDArray[np.float64]:
    """The rows of pos_delta of a clip, whole numbers of 32 bits."""
    positions = np.rint(recording.joints.astype(np.float64) / UNIT)
    deltas: NDArray[np.float64] = np.diff(positions, axis=0, prepend=np.zeros_like(positions[:1]))
    if not (np.abs(deltas) <= np.iinfo(np.int32).max).all():
        raise ValueError(
            f"{path}: clip {recording.name} of {recording.subject} has joints that are not finite "
            "or too far away: look at its file and unit"
        )
    return deltas


def _entries(path: Path) -> dict[str, NDArray[Any]]:
    data = read_npz(path, "make or copy it again")
    for entry in ("pos_delta", "joints", "fps", "unit_mm", *PER_CLIP):
        if entry not in data:
            raise ValueError(f"{path}: entry {entry} is missing")
    return data


def _check(path: Path, data: dict[str, NDArray[Any]]) -> None:
    def must(entry: str, correct: Any, what: str) -> None:
        if not correct:
            found = f"{data[entry].dtype} of shape {data[entry].shape}"
            raise ValueError(f"{path}: entry {entry} must {what}; it is {found}")

    deltas, clips = data["pos_delta"], data["start"].shape[:1]
    must("pos_delta", deltas.dtype.kind == "i", "contain integers")
    must("pos_delta", deltas.shape[1:] == (17, 3), "have shape (N, 17, 3)")
    must("joints", data["joints"].tolist() == JOINTS.split(), f"be {JOINTS}")
    must("fps", data["fps"].tolist() == FPS, f"be {FPS}")
    must("unit_mm", data["unit_mm"].shape == (), "be one number")
    must("unit_mm", data["unit_mm"].dtype.kind == "f" and 0 < data["unit_mm"] < 1e3, "be above 0")
    for entry, kind in PER_CLIP.items():
        must(entry, data[entry].dtype.kind == kind, f"be of numpy's kind {kind!r}")
        must(entry, data[entry].shape == clips != (0,), "have one value per clip")
    start, length = data["start"].astype(np.int64), data["length"].astype(np.int64)
    must("start", (start >= 0).all(), "be 0 or more")
    must("length", (length > 0).all(), "be above 0")
    must("length", (start + length <= len(deltas)).all(), f"end within {len(deltas)} frames")
    must("native_fps", np.isfinite(data["native_fps"]).all(), "be finite")
    must("split", set(data["split"].tolist()) <= SPLITS, "be train or test")

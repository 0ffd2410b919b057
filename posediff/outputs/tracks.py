"""The motion of every track in 3D, collected by frame: what BVH, TRC and curves are made of."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posediff.outputs.tables import person_angles
from posediff.people.angles import ANGLES, Angles
from posediff.people.frame import Frame
from posediff.visual.angle_curves import Curve

Array = NDArray[np.float64]
UP = np.array([1.0, -1.0, -1.0])  # camera axes -> x right in the picture, y up, z to the camera


@dataclass
class TrackMotion:
    """The 3D of one track in some frames."""

    track: int | None  # None: the only person of frames without tracks
    skeleton: str
    poses: dict[int, Array] = field(default_factory=dict)  # frame -> (J, 3) metres, camera axes
    angles: dict[int, Angles] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return "" if self.track is None else f"_{self.track:03d}"

    @property
    def first(self) -> int:
        return min(self.poses)

    def points(self) -> Array:
        """Positions (F, J, 3) in metres, y up, in all frames from the first to the last; NaN where
        the track is not known."""
        first, frames = self.first, max(self.poses) - self.first + 1
        found = np.full((frames, *self.poses[first].shape), np.nan)
        for n, pose in self.poses.items():
            found[n - first] = pose * UP
        return found

    def curves(self) -> dict[str, Curve]:
        """The angles in the same frames, by name."""
        first, frames = self.first, max(self.poses) - self.first + 1
        parts = np.full((len(ANGLES), frames, 5), np.nan)
        for n, found in self.angles.items():
            parts[:, n - first] = np.concatenate([found.mean[:, None], found.low, found.high], 1)
        return {
            name: Curve(values[:, 0], values[:, 1:3], values[:, 3:])
            for name, values in zip(ANGLES, parts, strict=True)
        }


class TrackMotions:
    """All tracks of the frames that were added; memory grows with the poses, not with images or
    hypotheses."""

    def __init__(self) -> None:
        self.found: dict[int | None, TrackMotion] = {}
        self.times: dict[int, float] = {}
        self.frames = 0

    def add(self, frame: Frame) -> None:
        """Raises ValueError if two people of a frame have the same track or none, or if a track
        changes its skeleton."""
        n = self.frames if frame.index is None else frame.index
        self.frames += 1
        if frame.time is not None:
            self.times[n] = frame.time
        for person in frame.people:
            if person.keypoints_3d is None or person.skeleton_3d is None:
                continue
            motion = self.found.setdefault(
                person.track, TrackMotion(person.track, person.skeleton_3d)
            )
            if n in motion.poses:
                raise ValueError(
                    f"frame {frame.name}: two people have track {person.track}: BVH, TRC and "
                    "curves need a track of its own for each person of a video"
                )
            if motion.skeleton != person.skeleton_3d:
                raise ValueError(f"frame {frame.name}: track {person.track} changes its skeleton")
            motion.poses[n] = person.keypoints_3d.astype(np.float64)
            if (angles := person_angles(person)) is not None:
                motion.angles[n] = angles

    @property
    def rate(self) -> float:
        """Frames per second. Raises ValueError if fewer than two frames have a time."""
        first, last = (min(self.times), max(self.times)) if self.times else (0, 0)
        if not self.times or not self.times[last] > self.times[first]:
            raise ValueError("BVH and TRC need the times of two frames or more: give a video")
        return (last - first) / (self.times[last] - self.times[first])

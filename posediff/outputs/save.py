"""Frames -> files that others read. One function, `save`; a function for each format.

    json     frames.json         everything, readable by `posediff.outputs.frame_json.read`
    coco     coco_results.json   2D as COCO's result file
    csv      joints.csv          a row per frame, person and joint
    npz      people.npz          arrays, a row per person
    angles   angles.csv          joint angles in degrees, with their intervals; of people in 3D
    curves   angles_NNN.png      the same of each track of a video, over time
    pictures NAME_people.jpg     every frame in 2D, and its people in 3D from two sides
    bvh      motion_NNN.bvh      rotations of each track of a video, for animation
    video    poses.mp4           every frame of a video with its people: H.264 with the extra
                                 `video`, or else MPEG-4 Part 2 and a warning
    trc      markers_NNN.trc     positions of each track of a video, for OpenSim

NNN is the number of the track; people without one have a file without number.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from posediff.diffusion.choices import one_of
from posediff.files import adding_files
from posediff.outputs.arrays import writing_arrays
from posediff.outputs.bvh import write_bvh
from posediff.outputs.coco_results import writing_coco
from posediff.outputs.frame_film import writing_film, writing_pictures
from posediff.outputs.frame_json import Add, writing_json
from posediff.outputs.tables import writing_angles, writing_joints
from posediff.outputs.tracks import TrackMotion, TrackMotions
from posediff.outputs.trc import write_trc
from posediff.people.frame import Frame
from posediff.pose.skeleton import skeleton
from posediff.visual.angle_curves import draw_curves
from posediff.visual.pose3d import write_picture

Writing = Callable[[Path], AbstractContextManager[Add]]


def save(
    frames: Iterable[Frame] | Frame,
    folder: str | Path,
    formats: Sequence[str] = ("json", "csv", "npz"),
) -> list[Path]:
    """Write a frame, or several, which may be a stream, in each of the formats. Returns the sorted
    paths.

    All files appear at the end, together, and none if something raises; other files of the folder
    stay. Raises ValueError if a format is unknown, or says why the frames do not fit it.
    """
    formats = [formats] if isinstance(formats, str) else list(formats)
    for name in formats:
        one_of("formats", name, FORMATS)
    with adding_files(Path(folder)) as beside:
        with ExitStack() as stack:
            adds = [stack.enter_context(FORMATS[name](beside)) for name in dict.fromkeys(formats)]
            for frame in (frames,) if isinstance(frames, Frame) else frames:
                for add in adds:
                    add(frame)
        written = sorted(path.name for path in beside.iterdir())
    return [Path(folder) / name for name in written]


def _named(writing: Writing, name: str) -> Writing:
    return lambda folder: writing(folder / name)


def _by_track(write: Callable[[Path, TrackMotion, TrackMotions], None], name: str) -> Writing:
    """A file for each track in 3D, called by name.format(label)."""

    @contextmanager
    def writing(folder: Path) -> Iterator[Add]:
        tracks = TrackMotions()
        yield tracks.add
        if not tracks.found:
            warnings.warn(f"no {name.format('')}: nobody has a 3D pose", stacklevel=2)
        for motion in tracks.found.values():
            write(folder / name.format(motion.label), motion, tracks)

    return writing


def _bvh(path: Path, motion: TrackMotion, tracks: TrackMotions) -> None:
    write_bvh(path, motion.points(), skeleton(motion.skeleton), tracks.rate)


def _curves(path: Path, motion: TrackMotion, tracks: TrackMotions) -> None:
    frames = range(motion.first, max(motion.poses) + 1)
    timed = all(n in tracks.times for n in motion.poses) and len(tracks.times) > 1
    times = [n / tracks.rate if timed else n for n in frames]
    title = "Joint angles" + ("" if motion.track is None else f" of track {motion.track}")
    unit = "s" if timed else "frame"
    write_picture(path, draw_curves(times, motion.curves(), title, unit))


def _trc(path: Path, motion: TrackMotion, tracks: TrackMotions) -> None:
    write_trc(path, motion.points(), skeleton(motion.skeleton), tracks.rate, motion.first)


FORMATS: dict[str, Writing] = {
    "json": _named(writing_json, "frames.json"),
    "coco": _named(writing_coco, "coco_results.json"),
    "csv": _named(writing_joints, "joints.csv"),
    "npz": _named(writing_arrays, "people.npz"),
    "angles": _named(writing_angles, "angles.csv"),
    "curves": _by_track(_curves, "angles{}.png"),
    "bvh": _by_track(_bvh, "motion{}.bvh"),
    "video": _named(writing_film, "poses.mp4"),
    "gif": _named(writing_film, "poses.gif"),
    "pictures": writing_pictures,
    "trc": _by_track(_trc, "markers{}.trc"),
}
SOLID = ("angles", "curves", "bvh", "trc")  # formats of people in 3D
MOVING = ("video", "gif", "bvh", "trc")  # formats of videos of two frames or more

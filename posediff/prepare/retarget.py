"""The body of a motion file -> clips of the 17 joints of skeleton mocap17, in five steps.

    1  the body's 17 joints in millimetres
    2  axes: from y up to z up
    3  linear resampling to 50 Hz
    4  centring
    5  cuts where a joint jumps

Three kinds of body can be read as they are, others by the names of their joints (mocap_names.py).
Their thorax, neck and shoulders differ from each other's and from
Human3.6M's, hence a skeleton name of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posediff.data.lifting.recording import FPS
from posediff.prepare.mocap_names import renamed
from posediff.prepare.motion import INCH, Array, Motion, rotated

# Millimetres per unit of a file without a unit: CMU's, inches, cm, mm, m. Neighbours differ by more
# than the longest leg from the shortest, so at most one of them fits a leg.
UNITS = (INCH / 0.45, INCH, 10.0, 1.0, 1000.0)
LEG = (600.0, 1100.0)  # hip to ankle along the bones, millimetres
HEAD = 115.0  # from Daz' joint `head` to the middle of the head, millimetres

# joints 1 .. 16: right leg, left leg, spine, thorax, neck, head, left arm, right arm
ACCLAIM = """rhipjoint rfemur rtibia lhipjoint lfemur ltibia lowerback thorax upperneck head
    lclavicle lhumerus lwrist rclavicle rhumerus rwrist"""
CMU = """RightHip RightKnee RightAnkle LeftHip LeftKnee LeftAnkle Chest thorax Head Head:end
    LeftShoulder LeftElbow LeftWrist RightShoulder RightElbow RightWrist"""
DAZ = """rThigh rShin rFoot lThigh lShin lFoot abdomen thorax head top
    lShldr lForeArm lHand rShldr rForeArm rHand"""


# of any other body, by CMU's names; the neck is where it begins, the head where it does
COMMON = """RightHip RightKnee RightAnkle LeftHip LeftKnee LeftAnkle spine Neck Head top
    LeftShoulder LeftElbow LeftWrist RightShoulder RightElbow RightWrist"""
SPINES = ("Spine1", "Chest", "Spine", "Spine2", "Chest2")  # the first that the file has


def mocap17(
    motion: Motion, unit: float | None = None, names: Mapping[str, str] | None = None
) -> Array:
    """The joints of skeleton mocap17: (F, 17, 3), millimetres, world, z up.

    unit: millimetres per unit of the file. None: the file's own or, as BVH has none, the usual unit
    in which the leg is 0.6 to 1.1 m long. names: the file's names of joints by COMMON's, if they
    cannot be told. Raises ValueError if body or unit are unknown.
    """
    motion, joints, complete = _body(motion, names)
    try:
        points = complete(motion.scaled(unit or _unit(motion, joints[:3])))
        chosen = [points[name] for name in joints]
    except KeyError as lacking:
        raise ValueError(f"{motion.path}: the skeleton has no joint {lacking}") from None
    x, y, z = np.moveaxis(np.stack([(chosen[0] + chosen[3]) / 2, *chosen], 1), -1, 0)
    return np.stack([x, -z, y], -1)


def resample(joints: Array, fps: int) -> Array:
    """A recording (F, 17, 3) at 50 Hz: at n * fps / 50 for n = 0 .. floor((F - 1) * 50 / fps)."""
    last = len(joints) - 1
    # in whole numbers, so that no frame is lost or moved by rounding
    low, rest = np.divmod(np.arange(last * FPS // fps + 1) * fps, FPS)
    part = rest[:, None, None] / FPS
    between: Array = joints[low] + part * (joints[np.minimum(low + 1, last)] - joints[low])
    return between


def centre(joints: Array) -> Array:
    """The box around the pelvis' path moved to x = y = 0, the 2nd percentile of the lower ankle to
    a height of 70 mm."""
    path, ankles = joints[:, 0, :2], joints[:, (3, 6), 2]
    middle = (path.min(0) + path.max(0)) / 2
    origin: Array = np.array([*middle, np.percentile(ankles.min(1), 2) - 70.0])
    return joints - origin


def cut(joints: Array, jump: float = 250.0, shortest: int = 25) -> list[Array]:
    """Parts between frames at which a joint moves more than `jump` mm, without short parts."""
    step = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(-1)
    parts = np.split(joints, np.flatnonzero(step > jump) + 1)
    return [part for part in parts if len(part) >= shortest]


def _unit(motion: Motion, leg: Sequence[str]) -> float:
    hip, knee, ankle = (motion.points[name] for name in leg)
    length = sum(np.linalg.norm(b - a, axis=-1).mean() for a, b in ((hip, knee), (knee, ankle)))
    for unit in UNITS if motion.unit is None else (motion.unit,):
        if LEG[0] <= length * unit <= LEG[1]:
            return unit
    raise ValueError(
        f"{motion.path}: a leg of {length:.4g} units is not 0.6 to 1.1 m long in any usual unit: "
        "give the millimetres per unit of the file (--unit)"
    )


Complete = Callable[[Motion], dict[str, Array]]


def _body(motion: Motion, given: Mapping[str, str] | None) -> tuple[Motion, list[str], Complete]:
    """The motion, perhaps with other names, its names of joints 1 .. 16, and the function that adds
    the missing joints."""
    known = ((ACCLAIM, lambda motion: motion.points), (CMU, _cmu), (DAZ, _daz))
    for words, complete in known if not given else ():
        names = words.split()
        if motion.points.keys() >= set(names[:6]) and _fits(motion, words):
            return motion, names, complete
    if absent := set((given or {}).values()) - motion.points.keys():
        raise ValueError(f"{motion.path}: --joints names {', '.join(absent)}, which it lacks")
    told = renamed(motion.points, given)
    motion = _under(motion, told)
    if not motion.points.keys() >= set(COMMON.split()[:6]):
        legs = "; ".join(", ".join(words.split()[:3]) for words in (ACCLAIM, CMU, DAZ))
        raise ValueError(
            f"{motion.path}: unknown body: the joints of its leg are none of {legs}, nor names of "
            "Mixamo, MotionBuilder or 3ds Max: give them as --joints"
        )
    if not given and _fits(motion, CMU):
        return motion, CMU.split(), _cmu
    return motion, COMMON.split(), _other


def _fits(motion: Motion, words: str) -> bool:
    """True if a file with these joints of the leg has this body. CMU's conversion lost the bone
    between the second chest joint and the collars, so that their offset is 0."""
    collar = motion.offsets.get("LeftCollar")
    return words != CMU or ("Chest2" in motion.points and (collar is None or not collar.any()))


def _under(motion: Motion, told: Mapping[str, str]) -> Motion:
    """The motion with the joints under these names, and the ends of their bones."""

    def moved(table: dict[str, Array]) -> dict[str, Array]:
        pairs = [(new + end, old + end) for new, old in told.items() for end in ("", ":end")]
        return table | {new: table[old] for new, old in pairs if old in table}

    return replace(
        motion,
        points=moved(motion.points),
        rotations=moved(motion.rotations),
        offsets=moved(motion.offsets),
    )


def _other(motion: Motion) -> dict[str, Array]:
    """Raises KeyError for a joint that it lacks."""
    points = dict(motion.points)
    if "Head" not in points or not any(name in points for name in SPINES):
        raise KeyError("Head" if "Head" not in points else "Spine")
    points["spine"] = points[next(name for name in SPINES if name in points)]
    return _with_top(motion.path, points, "Neck", "Head")


def _with_top(path: Path, points: dict[str, Array], neck: str, head: str) -> dict[str, Array]:
    """The points with the middle of the head, above its joint in the direction of the neck. Raises
    ValueError if the neck has no length."""
    up = points[head] - points[neck]
    length = np.linalg.norm(up, axis=-1, keepdims=True)
    if not length.all():
        raise ValueError(
            f"{path}: joint {head} is at the place of {neck}, so that the head has no direction: "
            "give other joints (--joints)"
        )
    points["top"] = points[head] + HEAD * up / length
    return points


def _cmu(motion: Motion) -> dict[str, Array]:
    """CMU's BVH conversion lost two bones: restore the thorax and half of each forearm.

    The neck and both collars start at Chest2 itself; a thorax, about as long as the bone below,
    belongs between. The wrist's bone, always half of the radius, is missing before the hand.
    """
    lost = np.array([0.0, np.linalg.norm(motion.offsets["Chest2"]), 0.0])
    points, thorax = dict(motion.points), rotated(motion.rotations["Chest2"], lost)
    points["thorax"] = points["Chest2"] + thorax
    for name in CMU.split()[8:]:
        points[name] = points[name] + thorax
    for side in ("Left", "Right"):
        elbow, wrist = points[f"{side}Elbow"], points[f"{side}Wrist"]
        points[f"{side}Wrist"] = elbow + 1.5 * (wrist - elbow)
    return points


def _daz(motion: Motion) -> dict[str, Array]:
    points = dict(motion.points)
    points["thorax"] = (points["lCollar"] + points["rCollar"]) / 2
    return _with_top(motion.path, points, "neck", "head")

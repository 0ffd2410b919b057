"""The body of a motion file -> clips of the 17 joints of skeleton mocap17, in five steps.

    1  the body's 17 joints in millimetres
    2  axes: from y up to z up
    3  linear resampling to 50 Hz
    4  centring
    5  cuts where a joint jumps

Three kinds of body can be read. Their thorax, neck and shoulders differ from each other's and from
Human3.6M's, hence a skeleton name of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from posediff.data.lifting.recording import FPS
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


def mocap17(motion: Motion, unit: float | None = None) -> Array:
    """The joints of skeleton mocap17: (F, 17, 3), millimetres, world, z up.

    unit: millimetres per unit of the file. None: the file's own or, as BVH has none, the usual unit
    in which the leg is 0.6 to 1.1 m long. Raises ValueError if body or unit are unknown.
    """
    names, complete = _body(motion)
    try:
        points = complete(motion.scaled(unit or _unit(motion, names[:3])))
        chosen = [points[name] for name in names]
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


def _body(motion: Motion) -> tuple[list[str], Callable[[Motion], dict[str, Array]]]:
    """The file's names of joints 1 .. 16, and the function that adds the missing joints."""
    for words, complete in ((ACCLAIM, lambda motion: motion.points), (CMU, _cmu), (DAZ, _daz)):
        names = words.split()
        if motion.points.keys() >= set(names[:6]):
            return names, complete
    legs = "; ".join(", ".join(words.split()[:3]) for words in (ACCLAIM, CMU, DAZ))
    raise ValueError(f"{motion.path}: unknown body: the joints of its leg are none of {legs}")


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
    up = points["head"] - points["neck"]
    points["top"] = points["head"] + HEAD * up / np.linalg.norm(up, axis=-1, keepdims=True)
    return points

"""Motion of one track as BVH, which animation programs read.

Centimetres, y up, x right in the picture, z to the camera; the root stays at the origin, since
poses are relative to it. The rest pose is a T-pose that looks along z, its bones as long as the
median over all frames. A joint's rotation turns the bone that leaves it:

    one bone leaves     the shortest turn from the direction that its parent gives it to its own, so
                        the twist about the bone, which positions do not determine, is the parent's
    several leave       (pelvis, thorax) the turn that fits all their directions best (Kabsch); each
                        goes through a joint of its own of no length, <outer joint>_base, whose
                        rotation takes up what is left, by the shortest turn

R = R_parent Rz Rx Ry in the file's channels Zrotation Xrotation Yrotation. So the directions of all
bones are exact, and a joint is off by at most the sum, over the bones from the root to it, of
|length - median|. Frames that lack the track are interpolated linearly between its neighbours.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posediff.pose.skeleton import Skeleton

Array = NDArray[np.float64]

LAYOUTS = ("h36m17", "mocap17")
UNIT = 100.0  # file units per metre
SIDEWAYS = ("hip", "shoulder", "elbow", "wrist")  # along x in the T-pose
ROTATION = "CHANNELS 3 Zrotation Xrotation Yrotation"


def write_bvh(path: Path, points: Array, skeleton: Skeleton, rate: float) -> None:
    """Write positions (F, J, 3) in metres, y up, NaN if unknown.

    Raises ValueError if the skeleton has no T-pose here, or if a joint is never known.
    """
    if skeleton.name not in LAYOUTS:
        raise ValueError(f"{path}: BVH is written of {', '.join(LAYOUTS)}, not {skeleton.name}")
    points = bridged(points)
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: a joint of the track is known in no frame")
    directions, medians = _bones(points, skeleton)
    turns = _rotations(directions, skeleton)
    root = skeleton.root or 0
    channels = [np.zeros((len(points), 3))]
    channels += [euler(turns[name]) for name in _order(skeleton, root)]
    lines = ["HIERARCHY", *_hierarchy(skeleton, medians * UNIT, root)]
    lines += ["MOTION", f"Frames: {len(points)}", f"Frame Time: {1 / rate:.9g}"]
    rows = np.concatenate(channels, 1)
    lines += [" ".join(f"{value + 0.0:.6f}" for value in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def bridged(points: Array) -> Array:
    """Positions (F, J, 3) without NaN: linear in time between known frames, and constant before the
    first and after the last; a coordinate that is never known stays NaN."""
    flat = points.reshape(len(points), -1).copy()
    frames = np.arange(len(flat))
    for column in flat.T:
        known = np.isfinite(column)
        if known.any():
            column[:] = np.interp(frames, frames[known], column[known])
    return flat.reshape(points.shape)


def rest_directions(skeleton: Skeleton) -> Array:
    """The unit vector (E, 3) of every bone in the T-pose: y up, the left side at +x."""
    found = np.zeros((len(skeleton.edges), 3))
    for row, (_, outer) in zip(found, skeleton.edges, strict=True):
        side, _, part = skeleton.joints[outer].partition("_")
        if part in SIDEWAYS:
            row[0] = 1 if side == "left" else -1
        else:
            row[1] = -1 if part else 1  # knees and ankles, or the spine upwards
    return found


def euler(rotations: Array) -> Array:
    """Angles (F, 3) about z, x and y, in degrees, of R = Rz Rx Ry (F, 3, 3); without jumps of a
    whole turn between frames."""
    z = np.arctan2(-rotations[:, 0, 1], rotations[:, 1, 1])
    x = np.arcsin(rotations[:, 2, 1].clip(-1, 1))
    y = np.arctan2(-rotations[:, 2, 0], rotations[:, 2, 2])
    return np.degrees(np.unwrap(np.stack([z, x, y], 1), axis=0))


def shortest_turn(a: Array, b: Array) -> Array:
    """The rotation (F, 3, 3) about a x b that brings unit vectors a to b (F, 3), by Rodrigues.
    Opposite ones are turned about the axis that is farthest from a."""
    axis, cosine = np.cross(a, b), (a * b).sum(-1)
    opposite = cosine < -1 + 1e-12
    other = np.cross(a, np.eye(3)[np.abs(a).argmin(-1)])
    other /= np.linalg.norm(other, axis=-1, keepdims=True)
    half = 2 * other[:, :, None] * other[:, None, :] - np.eye(3)
    K = np.zeros((len(a), 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        K[:, k, j], K[:, j, k] = axis[:, i], -axis[:, i]
    turn = np.eye(3) + K + K @ K / np.where(opposite, 1, 1 + cosine)[:, None, None]
    return np.where(opposite[:, None, None], half, turn)


def _bones(points: Array, skeleton: Skeleton) -> tuple[Array, Array]:
    """Directions (F, E, 3) and median lengths (E,). A bone of no length has its rest direction."""
    inner, outer = (list(ends) for ends in zip(*skeleton.edges, strict=True))
    bones = points[:, outer] - points[:, inner]
    lengths = np.linalg.norm(bones, axis=-1)
    known = lengths > 1e-9
    unit = bones / np.where(known, lengths, 1)[..., None]
    return np.where(known[..., None], unit, rest_directions(skeleton)), np.median(lengths, 0)


def _rotations(directions: Array, skeleton: Skeleton) -> dict[str, Array]:
    """Rotations (F, 3, 3) of every joint in the file with a bone, in its parent."""
    rest, world = rest_directions(skeleton), {skeleton.root or 0: np.eye(3)}
    found: dict[str, Array] = {}
    still = np.broadcast_to(np.eye(3), (len(directions), 3, 3))
    for joint in range(len(skeleton.joints)):
        found[skeleton.joints[joint]] = still
    for joint in _outwards(skeleton):
        bones = [e for e, (inner, _) in enumerate(skeleton.edges) if inner == joint]
        parent = np.broadcast_to(world[joint], still.shape)
        own = parent
        if len(bones) > 1:
            own = _fit(rest[bones], directions[:, bones])
            found[skeleton.joints[joint]] = parent.swapaxes(1, 2) @ own
        for e in bones:
            outer = skeleton.edges[e][1]
            turned = shortest_turn(own @ rest[e], directions[:, e]) @ own
            name = _turning(skeleton, e, len(bones))
            found[name] = own.swapaxes(1, 2) @ turned
            world[outer] = turned
    return found


def _fit(rest: Array, directions: Array) -> Array:
    """The rotations (F, 3, 3) that bring `rest` (n, 3) nearest to `directions` (F, n, 3)."""
    u, _, v = np.linalg.svd(directions.swapaxes(1, 2) @ rest)
    u[..., 2] *= np.linalg.det(u @ v)[:, None]
    fitted: Array = u @ v
    return fitted


def _outwards(skeleton: Skeleton) -> list[int]:
    """Joints with bones, parents first."""
    return list(dict.fromkeys(inner for inner, _ in skeleton.edges))


def _turning(skeleton: Skeleton, e: int, siblings: int) -> str:
    """The joint of the file whose rotation turns bone e."""
    inner, outer = (skeleton.joints[j] for j in skeleton.edges[e])
    return f"{outer}_base" if siblings > 1 else inner


def _order(skeleton: Skeleton, joint: int) -> Iterator[str]:
    """The joints of the file as they stand in its hierarchy."""
    yield skeleton.joints[joint]
    outers = [outer for inner, outer in skeleton.edges if inner == joint]
    for outer in outers:
        if len(outers) > 1:
            yield f"{skeleton.joints[outer]}_base"
        yield from _order(skeleton, outer)


def _hierarchy(skeleton: Skeleton, lengths: Array, joint: int) -> list[str]:
    """The text of a joint and all that hangs on it."""
    rest, bones = rest_directions(skeleton), list(enumerate(skeleton.edges))
    offset = sum((rest[e] * lengths[e] for e, (_, outer) in bones if outer == joint), np.zeros(3))
    inside: list[str] = []
    children = [outer for _, (inner, outer) in bones if inner == joint]
    for outer in children:
        below = _hierarchy(skeleton, lengths, outer)
        if len(children) > 1:
            base = f"JOINT {skeleton.joints[outer]}_base"
            below = _block(base, np.zeros(3), ROTATION, below)
        inside += below
    inside = inside or ["End Site", "{", "  OFFSET 0 0 0", "}"]
    name = skeleton.joints[joint]
    if joint == (skeleton.root or 0):
        place = ROTATION.replace("3 ", "6 Xposition Yposition Zposition ")
        return _block(f"ROOT {name}", offset, place, inside)
    return _block(f"JOINT {name}", offset, ROTATION, inside)


def _block(title: str, offset: Array, channels: str, inside: list[str]) -> list[str]:
    place = "OFFSET " + " ".join(f"{value + 0.0:.6f}" for value in offset)
    return [title, "{", *(f"  {line}" for line in (place, channels, *inside)), "}"]

"""Motion capture files (ASF + AMC, BVH) -> the position and rotation of every joint in every frame.

A file describes a tree of joints. Each has a rotation R to the world and a position p:

    ASF + AMC    R = R_parent C L C^-1    p = p_parent + R direction length    p: the bone's far end
    BVH          R = R_parent L           p = p_parent + R_parent offset       p: the joint itself

C is the bone's rest frame, L the rotation of the frame, both products of rotations about single
axes. The axis that ASF lists first rotates first (XYZ is Rz Ry Rx); BVH's first axis is the
leftmost factor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posediff.doors.checks import SINGLE
from posediff.prepare.mocap_names import without_namespace

Array = NDArray[np.float64]

INCH = 25.4
SHORTEST = 1e-5  # seconds of a frame
CHANNELS = {"tx", "ty", "tz", "rx", "ry", "rz"}
BLANK = "\0"  # in a name, while the words of a file are separated
NAMED = re.compile(r"(^\s*(?:ROOT|JOINT)[ \t]+)([^\n{]*[^\s{])", re.MULTILINE)
KINDS = {"position": "t", "rotation": "r"}  # of BVH's channels: Xposition is tx, Zrotation rz


@dataclass(frozen=True)
class Motion:
    """A whole file: F frames in the file's own unit and axes (y up)."""

    path: Path
    points: dict[str, Array]  # joint -> (F, 3) in the world; an End Site is "<its joint>:end"
    rotations: dict[str, Array]  # joint -> (F, 3, 3)
    offsets: dict[str, Array]  # joint -> (3,)
    fps: float | None = None  # None for AMC
    unit: float | None = None  # millimetres per unit; None for BVH

    def scaled(self, unit: float) -> Motion:
        points = {name: point * unit for name, point in self.points.items()}
        return replace(self, points=points, offsets={n: o * unit for n, o in self.offsets.items()})


@dataclass(frozen=True)
class _Joint:
    parent: str | None
    offset: Array = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()  # "tx" .. "rz" in the file's order
    frame: Array = field(default_factory=lambda: np.eye(3))  # C


def rotation(axes: Sequence[str], degrees: Array) -> Array:
    """Product, left to right, of rotations about "x", "y", "z": (..., n) angles -> (..., 3, 3)."""
    product = np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3))
    for n, axis in enumerate(axes):
        i = "xyz".index(axis)
        j, k = (i + 1) % 3, (i + 2) % 3
        turn = np.zeros_like(product)
        turn[..., i, i] = 1
        turn[..., j, j] = turn[..., k, k] = np.cos(np.radians(degrees[..., n]))
        turn[..., k, j] = np.sin(np.radians(degrees[..., n]))
        turn[..., j, k] = -turn[..., k, j]
        product = product @ turn
    return product


def rotated(rotations: Array, vectors: Array) -> Array:
    """(F, 3, 3) on (3,) or (F, 3) -> (F, 3)."""
    product: Array = rotations @ vectors[..., None]
    return product[..., 0]


def read_bvh(path: Path) -> Motion:
    """Position and rotation of every joint of a BVH file.

    A position channel is the joint's place in its parent; without one it is OFFSET.
    Raises ValueError if the file cannot be read.
    """
    head, _, body = _text(path).partition("MOTION")
    tree = _bvh_tree(path, head)
    values, fps = _bvh_values(path, body, sum(len(joint.channels) for joint in tree.values()))
    points: dict[str, Array] = {}
    rotations: dict[str, Array] = {}
    at = 0
    for name, joint in tree.items():
        own, at = values[:, at : at + len(joint.channels)], at + len(joint.channels)
        turn, place = _local(joint.channels, own, joint.offset)
        if joint.parent is None:
            points[name], rotations[name] = place, turn
        else:
            parent = rotations[joint.parent]
            points[name] = points[joint.parent] + rotated(parent, place)
            rotations[name] = parent @ turn
    offsets = {name: joint.offset for name, joint in tree.items()}
    return Motion(path, points, rotations, offsets, fps=fps)


def read_amc(path: Path, skeleton: Path) -> Motion:
    """Far end and rotation of every bone of an AMC file on its ASF skeleton; "root" is the root.

    The root's position in the ASF is left out: that in the AMC is complete.
    Raises ValueError if one of the files cannot be read.
    """
    tree, unit = _read_asf(skeleton)
    values = _amc_values(path, tree)
    points: dict[str, Array] = {}
    rotations: dict[str, Array] = {}
    for name, bone in tree.items():
        turn, place = _local(bone.channels[::-1], values[name][:, ::-1], bone.offset)
        turn = bone.frame @ turn @ bone.frame.T
        if bone.parent is None:
            points[name], rotations[name] = place, turn
        else:
            rotations[name] = rotations[bone.parent] @ turn
            points[name] = points[bone.parent] + rotated(rotations[name], place)
    offsets = {name: bone.offset for name, bone in tree.items()}
    return Motion(path, points, rotations, offsets, unit=unit)


def _local(channels: Sequence[str], values: Array, offset: Array) -> tuple[Array, Array]:
    """A joint's channels (F, n) -> its rotation (F, 3, 3) and place (F, 3) in its parent."""
    turns = [n for n, channel in enumerate(channels) if channel[0] == "r"]
    place = np.tile(offset, (len(values), 1))
    for n, channel in enumerate(channels):
        if channel[0] == "t":
            place[:, "xyz".index(channel[1])] = values[:, n]
    return rotation([channels[n][1] for n in turns], values[:, turns]), place


def _bvh_tree(path: Path, head: str) -> dict[str, _Joint]:
    """The joints in the order of their channels; head: the text above MOTION."""
    tree: dict[str, _Joint] = {}
    parents: list[str] = []
    head = NAMED.sub(lambda found: found[1] + re.sub(r"\s", BLANK, found[2]), head)
    name, following = "", iter(head.split())
    for word in following:
        if word in ("ROOT", "JOINT", "End"):
            name = without_namespace(next(following, "").replace(BLANK, " "))
            name = f"{parents[-1]}:end" if word == "End" and parents else name
            if name in tree:
                raise ValueError(f"{path}: two joints are called {name}")
            tree[name] = _Joint(parents[-1] if parents else None)
        elif word == "{" and tree:
            parents.append(name)
        elif word == "}" and parents:
            parents.pop()
        elif word == "OFFSET" and tree:
            offset = _numbers(path, f"OFFSET of {name}", list(islice(following, 3)), 3)
            tree[name] = replace(tree[name], offset=offset)
        elif word == "CHANNELS" and tree:
            count = _number(path, f"CHANNELS of {name}", next(following, ""))
            if count not in range(len(CHANNELS) + 1):
                raise ValueError(f"{path}: CHANNELS of {name} are {count:g}, not 0 .. 6")
            count = int(count)
            given = [channel.lower() for channel in islice(following, count)]
            channels = tuple(f"{KINDS.get(channel[1:], '?')}{channel[:1]}" for channel in given)
            if len(channels) != count or set(channels) - CHANNELS:
                raise ValueError(f"{path}: the CHANNELS of {name} are not {count} known names")
            tree[name] = replace(tree[name], channels=channels)
        elif word != "HIERARCHY":
            raise ValueError(f"{path}: HIERARCHY cannot be read at {word!r} after {name!r}")
    if not tree or parents:
        raise ValueError(f"{path}: no whole HIERARCHY: the file is cut short or is not BVH")
    return tree


def _bvh_values(path: Path, body: str, width: int) -> tuple[Array, float]:
    """Channels (F, width) of all joints, frames per second; body: the text below MOTION."""
    timing = re.match(r"\s*Frames:\s*(\d+)\s+Frame Time:\s*(\S+)", body)
    if timing is None or not (step := _number(path, "Frame Time", timing[2])) > SHORTEST:
        raise ValueError(
            f"{path}: MOTION must begin with `Frames: N` and `Frame Time: seconds`, above "
            f"{SHORTEST}"
        )
    if len(timing[1]) > 9:
        raise ValueError(f"{path}: MOTION states more frames than a file can have")
    frames, words = int(timing[1]), body[timing.end() :].split()
    if not frames or len(words) != frames * width:
        raise ValueError(
            f"{path}: MOTION must have {frames} frames of {width} numbers, but it has "
            f"{len(words)} numbers: the file is cut short, or empty"
        )
    return _numbers(path, "MOTION", words, len(words)).reshape(frames, width), 1 / step


def _read_asf(path: Path) -> tuple[dict[str, _Joint], float]:
    """The bones, parents first, and the millimetres per unit."""
    sections = _asf_sections(path)
    units = {line[0]: line[-1] for line in sections["units"]}
    length = _number(path, "length under :units", units.get("length", ""))
    if not length > 0:
        raise ValueError(f"{path}: length under :units must be above 0")
    radians = units.get("angle", "deg").startswith("rad")
    blocks = _asf_blocks(sections["bonedata"])
    bones = {"root": _asf_bone(path, "root", sections["root"], None, radians)}
    waiting = [(line[0], child) for line in sections["hierarchy"] for child in line[1:]]
    while waiting:
        ready = [(parent, child) for parent, child in waiting if parent in bones]
        if not ready:
            parent, child = waiting[0]
            raise ValueError(f"{path}: hierarchy puts {child} below {parent}, not below the root")
        for parent, child in ready:
            if child in bones:
                raise ValueError(f"{path}: hierarchy places {child} twice: keep one")
            if child not in blocks:
                raise ValueError(f"{path}: hierarchy names {child}, but bonedata does not")
            bones[child] = _asf_bone(path, child, blocks[child], parent, radians)
        waiting = [pair for pair in waiting if pair not in ready]
    return bones, INCH / length


def _asf_sections(path: Path) -> dict[str, list[list[str]]]:
    """The lines, as words, under each ":name"."""
    sections: dict[str, list[list[str]]] = {}
    for line in _lines(path):
        if line[0].startswith(":"):
            current = sections.setdefault(line[0][1:], [])
        elif sections:
            current.append(line)
    for name in ("units", "root", "bonedata", "hierarchy"):
        if not sections.get(name):
            raise ValueError(f"{path}: nothing under :{name}: the file is cut short or is not ASF")
    return sections


def _asf_blocks(lines: list[list[str]]) -> dict[str, list[list[str]]]:
    """The lines between each begin and end, under the bone's name."""
    blocks: dict[str, list[list[str]]] = {}
    block: list[list[str]] = []
    for line in lines:
        if line[0] == "begin":
            block = []
        elif line[0] == "name":
            blocks[line[-1]] = block
        block.append(line)
    return blocks


def _asf_bone(
    path: Path, name: str, lines: list[list[str]], parent: str | None, radians: bool
) -> _Joint:
    """One bone from its lines. Those of the root are named order and orientation, not dof."""
    entry = {line[0]: line[1:] for line in lines}
    channels = [word.lower() for word in entry.get("order" if parent is None else "dof", [])]
    if unknown := set(channels) - CHANNELS:
        raise ValueError(f"{path}: {name} has unknown channels: {sorted(unknown)}")
    offset = np.zeros(3)
    if parent is not None:
        offset = _numbers(path, f"direction of {name}", entry.get("direction", []), 3)
        offset = offset * _numbers(path, f"length of {name}", entry.get("length", []), 1)
    axis = entry.get("orientation", []) + entry.get("axis", [])
    angles, order = _numbers(path, f"axis of {name}", axis[:3], 3), "".join(axis[3:]).lower()
    if sorted(order) != ["x", "y", "z"]:
        raise ValueError(f"{path}: axis of {name} must end in an order like XYZ, not {order!r}")
    degrees = np.degrees(angles) if radians else angles
    return _Joint(parent, offset, tuple(channels), rotation(order[::-1], degrees[::-1]))


def _amc_values(path: Path, bones: dict[str, _Joint]) -> dict[str, Array]:
    """The channels of every bone: (F, its number of channels), angles in degrees."""
    rows: dict[str, list[list[str]]] = {name: [] for name in bones}
    frames, radians = 0, False
    for name, *words in _lines(path):
        if name.startswith(":"):
            radians |= name == ":RADIANS"
        elif not words and name.isdigit():
            frames += 1
        elif name not in bones or len(words) != len(bones[name].channels):
            raise ValueError(
                f"{path}: frame {frames - 1} has {len(words)} values of {name!r}, which does not "
                "fit the ASF skeleton: the file is cut short or belongs to another one"
            )
        else:
            rows[name].append(words)
    values = {}
    for name, bone in bones.items():
        if not frames or (bone.channels and len(rows[name]) != frames):
            raise ValueError(
                f"{path}: {len(rows[name])} of {frames} frames have {name}: the file is cut short "
                "or belongs to another ASF skeleton"
            )
        flat = [word for row in rows[name] for word in row]
        values[name] = _numbers(path, name, flat, len(flat)).reshape(frames, len(bone.channels))
        if radians:
            turns = [n for n, channel in enumerate(bone.channels) if channel[0] == "r"]
            values[name][:, turns] = np.degrees(values[name][:, turns])
    return values


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig", errors="replace")  # comments may be anything


def _lines(path: Path) -> Iterator[list[str]]:
    """The words of every line that has any, without comments."""
    for line in _text(path).splitlines():
        if words := line.partition("#")[0].split():
            yield words


def _numbers(path: Path, entry: str, words: Sequence[str], count: int) -> Array:
    try:
        numbers = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: {entry}: {error}") from None
    if numbers.shape != (count,):
        raise ValueError(f"{path}: {entry} must be {count} numbers, not {len(words)}")
    if not (np.abs(numbers) <= SINGLE).all():
        raise ValueError(f"{path}: {entry} contains NaN, infinity or a number that is too large")
    return numbers


def _number(path: Path, entry: str, word: str) -> float:
    return float(_numbers(path, entry, [word], 1)[0])

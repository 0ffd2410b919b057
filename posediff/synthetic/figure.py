"""The visible surface of a body: its landmarks, and the solids that clothe the bones.

The body is that of posediff/synthetic/body.py, 17 joints of h36m17 in the world, metres, z up. The
other landmarks of 2D benchmarks do not follow from these joints and are placed on a head of fixed
proportions: the joint that h36m17 calls neck is near the nose but too low for a head clear of the
shoulders, so the nose is 1.35 times as far from the thorax. In metres to the person's right,
forward and up of the nose there are

    eyes       +-.032 -.015  .035        head_top    0  -.070  .135
    ears       +-.072 -.095  .010        upper_neck (head_bottom)  .3 of the way thorax -> nose

A solid is a cone with round ends: from a point with one radius to a point with another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from posediff.pose.skeleton import SKELETONS
from posediff.synthetic.backdrop import colour
from posediff.synthetic.body import Array, unit

Place = tuple[float, float, float]  # right, forward, up

NECK = 1.35
THIGH = 0.43  # metres; radii of trunk and limbs are those of a person with such a thigh
ARM = np.array([0.052, 0.042, 0.03])  # radii at shoulder, elbow and wrist
LEG = np.array([0.085, 0.058, 0.04])  # radii at hip, knee and ankle
FACE = {
    "left_eye": (-0.032, -0.015, 0.035),
    "right_eye": (0.032, -0.015, 0.035),
    "left_ear": (-0.072, -0.095, 0.01),
    "right_ear": (0.072, -0.095, 0.01),
    "head_top": (0.0, -0.07, 0.135),
}
SKIN = np.array([[255, 224, 196], [234, 192, 160], [198, 146, 110], [141, 94, 62], [84, 56, 40]])
HAIR = np.array([[24, 20, 18], [60, 40, 28], [110, 72, 40], [190, 150, 90], [150, 150, 150]])


class Cloth(NamedTuple):
    """A colour, RGB 0..1, with stripes of another."""

    colour: Array
    stripe: Array
    along: float = 0.0  # stripes per metre along the limb; 0 is none
    across: float = 0.0


def _plain(colour: Array) -> Cloth:
    return Cloth(np.clip(colour, 0, 1), colour)


class Solid(NamedTuple):
    start: Array  # (3,) in the world
    end: Array  # (3,)
    radii: tuple[float, float]  # metres
    cloth: Cloth


@dataclass(frozen=True)
class Outfit:
    skin: Cloth
    hair: Cloth
    shirt: Cloth
    trousers: Cloth
    shoes: Cloth
    sleeve: float  # 0 none, 1 to the wrist
    leg: float  # 0 to the hip, 1 to the ankle
    hair_length: float  # metres below the ears
    girth: float  # 1 is average


def outfit(rng: np.random.Generator) -> Outfit:
    """Random skin, hair, clothes and girth of one person."""
    tone = rng.uniform(0, len(SKIN) - 1)
    skin = np.stack([np.interp(tone, range(len(SKIN)), SKIN[:, c]) for c in range(3)]) / 255
    return Outfit(
        skin=_plain(skin * rng.uniform(0.9, 1.05)),
        hair=_plain(HAIR[rng.integers(len(HAIR))] / 255 * rng.uniform(0.7, 1.2)),
        shirt=_cloth(rng),
        trousers=_cloth(rng) if rng.random() < 0.4 else _plain(colour(rng)),
        shoes=_plain(colour(rng)),
        sleeve=float(rng.choice([0.0, 0.5, 0.5, 1.0, 1.0])),
        leg=float(rng.choice([0.35, 0.6, 1.0, 1.0, 1.0])),
        hair_length=float(rng.choice([0.0, 0.0, 0.08, 0.2])),
        girth=float(np.clip(rng.normal(1.05, 0.13), 0.8, 1.45)),
    )


def landmarks(joints: Array) -> dict[str, Array]:
    """Points (..., 3) by name of a body (..., 17, 3): the joints of h36m17 and those above."""
    body = dict(zip(SKELETONS["h36m17"].joints, np.moveaxis(joints, -2, 0), strict=True))
    nose = body["thorax"] + NECK * (body["neck"] - body["thorax"])
    base = body["thorax"] + 0.3 * (nose - body["thorax"])
    face = {name: nose + _in_world(head_axes(joints), place) for name, place in FACE.items()}
    others = {"nose": nose, "face": nose, "upper_neck": base, "head_bottom": base}
    return body | face | others | {"belly": body["spine"]}


def head_axes(joints: Array) -> Array:
    """Right, forward and up of the head (..., 3, 3), as rows, of a body (..., 17, 3)."""
    thorax, neck, top = (joints[..., j, :] for j in (8, 9, 10))
    lower, upper = unit(neck - thorax), unit(top - neck)
    right, up = unit(np.cross(lower, upper)), unit(lower + upper)
    return np.stack([right, np.cross(up, right), up], -2)


def solids(joints: Array, worn: Outfit) -> Iterator[Solid]:
    """The parts of one clothed body (17, 3)."""
    at = landmarks(joints)
    size = float(np.linalg.norm(at["right_knee"] - at["right_hip"])) / THIGH
    wide = size * worn.girth

    pelvis, spine, thorax = at["pelvis"], at["spine"], at["thorax"]
    waist, collar = (pelvis + spine) / 2, thorax - 0.1 * (thorax - spine)
    yield Solid(waist, spine, (0.115 * wide, 0.118 * wide), worn.shirt)
    yield Solid(spine, collar, (0.118 * wide, 0.105 * wide), worn.shirt)
    yield Solid(at["left_hip"], at["right_hip"], (0.1 * wide, 0.1 * wide), worn.trousers)
    shoulders = at["left_shoulder"], at["right_shoulder"]
    yield Solid(*shoulders, (0.055 * wide, 0.055 * wide), worn.shirt)
    for side in ("left", "right"):
        arm = [at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")]
        leg = [at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle")]
        armpit = arm[0] + 0.3 * (thorax - arm[0]) + 0.12 * (pelvis - thorax)
        flank = leg[0] + 0.15 * (armpit - leg[0])
        yield Solid(armpit, flank, (0.085 * wide, 0.085 * wide), worn.shirt)
        yield from _limb(arm, wide * ARM, worn.skin, worn.shirt, worn.sleeve)
        yield from _limb(leg, wide * LEG, worn.skin, worn.trousers, worn.leg)
        _, elbow, wrist = arm
        fingers = wrist + 0.11 * size * unit(wrist - elbow)
        yield Solid(wrist, fingers, (0.032 * size, 0.03 * size), worn.skin)
        yield from _foot(at, side, size, worn)
    yield from _head(at, head_axes(joints), size, worn)


def _limb(
    joints: Sequence[Array], radii: Array, skin: Cloth, cloth: Cloth, cover: float
) -> Iterator[Solid]:
    """Skin from end to end, and cloth a little wider over a share `cover` of it."""
    for n, (a, b) in enumerate(pairwise(joints)):
        first, last = radii[n : n + 2]
        yield Solid(a, b, (first, last), skin)
        clothed = np.clip(2 * cover - n, 0, 1)
        if clothed > 0:
            end = first + clothed * (last - first)
            yield Solid(a, a + clothed * (b - a), (1.15 * first, 1.2 * end), cloth)


def _foot(at: dict[str, Array], side: str, size: float, worn: Outfit) -> Iterator[Solid]:
    """Toes point where the knee does, or else where the hips do, away from the shin."""
    hip, knee, ankle = (at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    ahead = np.cross((0.0, 0.0, 1.0), at["right_hip"] - at["left_hip"])
    shin, toes = unit(knee - ankle), unit(ahead) + 2 * (knee - (hip + ankle) / 2) / THIGH
    toes = unit(toes - 0.9 * (toes @ shin) * shin)
    heel = ankle - 0.045 * size * shin
    back, front = heel - 0.03 * size * toes, heel + 0.14 * size * toes
    yield Solid(back, front, (0.04 * size, 0.032 * size), worn.shoes)
    yield Solid(ankle, heel, (0.04 * size, 0.04 * size), worn.shoes)


BLACK, WHITE = _plain(np.full(3, 0.08)), _plain(np.full(3, 0.9))
# Start and end to the right, forward and up of the nose, radii; metres. A part off the middle is
# drawn on both sides.
HEAD: Sequence[tuple[str | Cloth, Place, Place, tuple[float, float]]] = (
    ("skin", (0, -0.06, -0.045), (0, -0.085, 0.035), (0.058, 0.09)),
    ("skin", (0, -0.012, 0.02), (0, -0.006, 0), (0.008, 0.014)),  # the nose
    ("lips", (-0.018, -0.012, -0.042), (0.018, -0.012, -0.042), (0.008, 0.008)),
    (WHITE, (0.031, -0.016, 0.034), (0.035, -0.016, 0.034), (0.01, 0.01)),
    (BLACK, (0.033, -0.009, 0.034), (0.033, -0.009, 0.034), (0.006, 0.006)),
    ("hair", (0.05, -0.014, 0.054), (0.02, -0.01, 0.054), (0.006, 0.006)),  # a brow
    ("skin", (0.085, -0.095, 0.02), (0.078, -0.09, -0.01), (0.02, 0.015)),  # an ear
    ("hair", (0, -0.1, 0.05), (0, -0.115, 0.02), (0.092, 0.085)),
)


def _head(at: dict[str, Array], axes: Array, size: float, worn: Outfit) -> Iterator[Solid]:
    def place(offset: Place) -> Array:
        return at["nose"] + _in_world(axes, offset)

    lips = _plain(worn.skin.colour * (0.8, 0.55, 0.55))
    cloths = {"skin": worn.skin, "hair": worn.hair, "lips": lips}
    yield Solid(at["thorax"], place((0, -0.085, -0.03)), (0.06 * size, 0.052 * size), worn.skin)
    for kind, a, b, radii in HEAD:
        cloth = cloths[kind] if isinstance(kind, str) else kind
        for side in (1, -1) if a[0] > 0 else (1,):
            start, end = (place((side * x, forward, up)) for x, forward, up in (a, b))
            yield Solid(start, end, radii, cloth)
    if worn.hair_length:
        end = place((0, -0.13, -worn.hair_length))
        yield Solid(place((0, -0.12, 0.03)), end, (0.09, 0.07), worn.hair)


def _in_world(axes: Array, offset: Place) -> Array:
    """An offset to the right, forward and up, in the world."""
    return np.asarray(np.einsum("...ij,i->...j", axes, offset))


def _cloth(rng: np.random.Generator) -> Cloth:
    along, across = rng.uniform(6, 25, 2) * (rng.random(2) < 0.3)
    return Cloth(colour(rng), colour(rng), along, across)

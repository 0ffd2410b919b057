"""Images and clips of synthetic people with their 2D joints: clothed people who act in front of a
background, sometimes behind an occluder. No file is read; the same generator gives the same images.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from posediff.synthetic import body
from posediff.synthetic.actions import KINDS, motion
from posediff.synthetic.backdrop import Layer, backdrop, colour, noise
from posediff.synthetic.body import Array
from posediff.synthetic.figure import Cloth, Outfit, Solid, outfit, solids
from posediff.synthetic.lens import Lens, looking
from posediff.synthetic.render import BACKGROUND, FINE, NEAR, Painting, Scene, Sensor, capture

DRIFT = 0.02  # metres that an occluder moves per frame, as a standard deviation
STEP = 2  # frames of a motion per frame of a clip


class Occluder(NamedTuple):
    """An object in front of a person: a board, a pole, or a bush of leaves."""

    depth: float  # metres
    corners: Array | None  # (4, 2) fine pixels; None for a bush
    leaves: Sequence[Solid]
    shade: Array

    def paint(self, painting: Painting, fine: Lens, moved: Array) -> None:
        """moved: metres to the right and down (2,)."""
        if self.corners is not None:
            corners = self.corners + moved * fine.focal / self.depth
            painting.panel(corners, self.depth, self.shade)
        way = np.append(moved, 0) @ fine.rotation
        for leaf in self.leaves:
            leaf = leaf._replace(start=leaf.start + way, end=leaf.end + way)
            painting.solid(fine, leaf, BACKGROUND)


def scene(
    rng: np.random.Generator,
    size: tuple[int, int] = (640, 480),
    people: int = 1,
    tall: tuple[float, float] = (0.45, 0.9),
    apart: float = 1.0,
    hidden: float = 0.3,
) -> Scene:
    """An image of (width, height) `size` with that number of people.

    tall: range of the height of a standing person at the place of the first one, as a share of the
    height of the image. apart: typical distance in metres between neighbours. hidden: probability
    that a person has an occluder in front.
    """
    return next(clip(rng, size, people, tall, apart, hidden))


def clip(
    rng: np.random.Generator,
    size: tuple[int, int] = (640, 480),
    people: int = 1,
    tall: tuple[float, float] = (0.45, 0.9),
    apart: float = 1.0,
    hidden: float = 0.3,
    frames: int = 1,
) -> Iterator[Scene]:
    """Frames of one `scene`, 25 a second: people act, occluders drift slowly, the camera rests."""
    lens = _lens(rng, size, rng.uniform(*tall))
    long = (frames - 1) * STEP + 1
    actors = [_person(rng, place, long) for place in _places(rng, lens, people, apart)]
    motions, outfits = zip(*actors, strict=True)
    light = _light(rng)
    fine = lens._replace(focal=lens.focal * FINE, size=(size[0] * FINE, size[1] * FINE))
    back = backdrop(rng, lens.size, _horizon(lens))
    weave = noise(rng, fine.size, 6)
    first = [joints[0] for joints in motions]
    clutter = list(_clutter(rng, first, outfits, lens))
    occluders = [o for joints in first for o in _occluders(rng, fine, joints, hidden)]
    shape = len(occluders), 2
    drift = rng.normal(0, DRIFT, shape) if frames > 1 else np.zeros(shape)
    sensor = Sensor.random(rng)
    for frame in range(frames):
        bodies = [joints[frame * STEP] for joints in motions]
        painting = Painting(_ground(back, lens, bodies, fine.size), light, weave)
        for solid in clutter:
            painting.solid(fine, solid, BACKGROUND)
        for number, (joints, worn) in enumerate(zip(bodies, outfits, strict=True)):
            for solid in solids(joints, worn):
                painting.solid(fine, solid, number)
        for occluder, way in zip(occluders, drift, strict=True):
            occluder.paint(painting, fine, (frame - frames // 2) * way)
        yield capture(rng, painting, lens, bodies, sensor)


def _horizon(lens: Lens) -> float:
    """Row of the image, in pixels."""
    up = lens.rotation[:, 2]
    return float((lens.size[1] - 1) / 2 + lens.focal * up[2] / -up[1])


def _ground(back: Layer, lens: Lens, bodies: Iterable[Array], size: tuple[int, int]) -> Layer:
    """The background with a shadow under every person, enlarged to `size`."""
    import cv2

    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1) * 0.35
    for joints in bodies:
        camera = lens.to_camera(circle + np.append(joints[[3, 6], :2].mean(0), 0))
        if camera[:, 2].min() < NEAR:
            continue
        corners = np.round(lens.project(camera)).astype(np.int32)
        mask = cv2.fillConvexPoly(np.zeros(back.shape[:2], np.float32), corners, 0.45)
        soft = cv2.GaussianBlur(mask, (0, 0), lens.focal * 0.06 / float(camera[:, 2].mean()))
        back = np.asarray(back * (1 - soft[..., None]), np.float32)
    return np.array(cv2.resize(back, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _lens(rng: np.random.Generator, size: tuple[int, int], tall: float) -> Lens:
    """A camera that looks at the middle of a person of 1.7 m at the origin."""
    focal = max(size) * rng.uniform(0.9, 1.8)
    far = focal * 1.7 / (tall * size[1])
    height = rng.uniform(0.4, 2.4)
    aim = np.array([0.0, 0.0, rng.uniform(0.75, 0.95)])
    centre = np.array([0.0, -np.sqrt(max(far**2 - (height - aim[2]) ** 2, 0.5)), height])
    rotation = looking(aim - centre, roll=rng.normal(0, 0.03))
    return Lens(rotation, centre, focal, size)


def _places(rng: np.random.Generator, lens: Lens, people: int, apart: float) -> list[Array]:
    """Places on the floor: the first at the origin, each other near one before."""
    far = -lens.centre[1]
    aside = far * lens.size[0] / lens.focal / 2  # metres that the image shows to either side
    places = [np.zeros(2)]
    while len(places) < people:
        step = rng.normal(0, apart, 2) * (0.8, 1.0)
        place = places[rng.integers(len(places))] + step
        nearest = min(np.linalg.norm(place - other) for other in places)
        if nearest > 0.3 and abs(place[0]) < 0.9 * aside and place[1] > -0.45 * far:
            places.append(place)
        apart *= 1.02  # so that a full floor ends the loop
    return places


def _person(rng: np.random.Generator, place: Array, frames: int) -> tuple[Array, Outfit]:
    """Joints (F, 17, 3), at the place in the first frame, and clothes."""
    kind = list(KINDS)[rng.integers(len(KINDS))]
    joints = motion(kind, body.build(rng), max(frames, 2), rng)
    joints[..., :2] += place - joints[0, 0, :2]
    return joints, outfit(rng)


def _light(rng: np.random.Generator) -> Array:
    """Direction towards the light in the camera's axes: from above and mostly from the front."""
    return body.unit(np.array([rng.uniform(-1, 1), rng.uniform(-1.2, -0.2), -rng.uniform(0.2, 1)]))


def _clutter(
    rng: np.random.Generator, bodies: Sequence[Array], outfits: tuple[Outfit, ...], lens: Lens
) -> Iterator[Solid]:
    """Poles, branches and bags behind people, in the colours of people."""
    deep = max(joints[:, 1].max() for joints in bodies)
    wide = (deep - lens.centre[1]) * lens.size[0] / lens.focal
    for _ in range(rng.integers(0, 6)):
        start = rng.uniform((-wide, deep + 0.4, 0.0), (wide, deep + 3.0, 2.2))
        way = rng.normal(0, (0.3, 0.1, 0.6))
        worn = outfits[rng.integers(len(outfits))]
        cloth = (worn.skin, worn.shirt, worn.trousers)[rng.integers(3)]
        radius = rng.uniform(0.02, 0.12)
        yield Solid(start, start + way, (radius, radius * rng.uniform(0.5, 1.0)), cloth)


def _occluders(
    rng: np.random.Generator, fine: Lens, joints: Array, hidden: float
) -> Iterator[Occluder]:
    """A pole, a board or a bush in front of a random joint, with probability `hidden`."""
    if rng.random() >= hidden:
        return
    camera = fine.to_camera(joints)
    target = camera[rng.integers(len(joints))]
    near = float(camera[:, 2].min()) - rng.uniform(0.25, 0.6)
    if near < NEAR + 0.2:
        return
    pixel = fine.focal / near
    middle = fine.project(target[None])[0] + rng.normal(0, 0.1, 2) * pixel
    shade = colour(rng)
    if rng.random() < 0.6:
        half = rng.uniform((0.02, 0.1), (0.16, 0.3))[:, None] * pixel
        turn = rng.normal(0, 0.4) + rng.choice([0, np.pi / 2])
        axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * half
        corners = middle + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ axes
        yield Occluder(near, corners, (), shade)
        return
    point = np.append((middle - (np.array(fine.size) - 1) / 2) / pixel, near)
    leaves = []
    for _ in range(rng.integers(1, 25)):
        leaf = (point + rng.normal(0, (0.13, 0.13, 0.05))) @ fine.rotation + fine.centre
        radius = rng.uniform(0.03, 0.07)
        cloth = Cloth(shade * rng.uniform(0.7, 1.2), shade)
        leaves.append(Solid(leaf, leaf + rng.normal(0, 0.05, 3), (radius, radius), cloth))
    yield Occluder(near, None, leaves, shade)

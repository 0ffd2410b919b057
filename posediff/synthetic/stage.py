"""Pictures and clips of the synthetic body with its 2D joints: people in clothes who act before
something, perhaps behind something. Nothing is read; the same generator gives the same pictures.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from posediff.synthetic import body
from posediff.synthetic.actions import KINDS, motion
from posediff.synthetic.backdrop import Layer, backdrop, colour, noise
from posediff.synthetic.figure import Cloth, Outfit, Solid, outfit, solids
from posediff.synthetic.lens import Lens, looking
from posediff.synthetic.render import FINE, NEAR, NOBODY, Array, Painting, Print, Scene, developed

DRIFT = 0.02  # metres that a cover moves from one frame to the next, on the average


class Cover(NamedTuple):
    """What stands before somebody: a board or pole, or a bush."""

    depth: float  # metres
    corners: Array | None  # (4, 2) fine pixels
    leaves: Sequence[Solid]
    shade: Array

    def paint(self, film: Painting, fine: Lens, way: Array) -> None:
        """way: metres that it has moved to the right and down."""
        if self.corners is not None:
            film.panel(self.corners + way * fine.focal / self.depth, self.depth, self.shade)
        moved = np.append(way, 0) @ fine.rotation
        for leaf in self.leaves:
            film.solid(fine, leaf._replace(start=leaf.start + moved, end=leaf.end + moved), NOBODY)


def scene(
    rng: np.random.Generator,
    size: tuple[int, int] = (640, 480),
    people: int = 1,
    tall: tuple[float, float] = (0.45, 0.9),
    apart: float = 1.0,
    hidden: float = 0.3,
) -> Scene:
    """A picture of (width, height) `size` with so many people.

    tall: how much of the height of the picture a standing person takes where the first one is.
    apart: metres that the others are apart from the one before, on the average. hidden: how often
    something stands before somebody.
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
    step: int = 2,
) -> Iterator[Scene]:
    """So many frames of one `scene`, 50 / step a second: people act, what stands before them drifts
    a little, the camera rests."""
    lens = _lens(rng, size, rng.uniform(*tall))
    long = (frames - 1) * step + 1
    bodies = [_somebody(rng, place, long) for place in _places(rng, lens, people, apart)]
    light = _light(rng)
    fine = lens._replace(focal=lens.focal * FINE, size=(size[0] * FINE, size[1] * FINE))
    back = backdrop(rng, lens.size, _horizon(lens))
    weave = noise(rng, fine.size, 6)
    first = [(joints[0], worn) for joints, worn in bodies]
    clutter = list(_clutter(rng, first, lens))
    covers = [c for joints, _ in first for c in _covers(rng, fine, joints, hidden)]
    ways = rng.normal(0, DRIFT, (len(covers), 2)) if frames > 1 else np.zeros((len(covers), 2))
    how = Print.drawn(rng)
    for frame in range(frames):
        here = [(joints[frame * step], worn) for joints, worn in bodies]
        film = Painting(_ground(back, lens, [joints for joints, _ in here]), light, weave)
        for solid in clutter:
            film.solid(fine, solid, NOBODY)
        for number, (joints, worn) in enumerate(here):
            for solid in solids(joints, worn):
                film.solid(fine, solid, number)
        for cover, way in zip(covers, ways, strict=True):
            cover.paint(film, fine, (frame - frames // 2) * way)
        yield developed(rng, film, lens, [joints for joints, _ in here], how)


def _horizon(lens: Lens) -> float:
    up = lens.rotation[:, 2]
    return float((lens.size[1] - 1) / 2 + lens.focal * up[2] / -up[1])


def _ground(back: Layer, lens: Lens, bodies: Iterable[Array]) -> Layer:
    """What is behind everybody, in fine pixels, with shadows where people stand."""
    import cv2

    for joints in bodies:
        back = _shadow(back, lens, joints)
    fine = (lens.size[0] * FINE, lens.size[1] * FINE)
    return np.array(cv2.resize(back, fine, interpolation=cv2.INTER_LINEAR), np.float32)


def _shadow(ground: Layer, lens: Lens, joints: Array) -> Layer:
    import cv2

    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1) * 0.35 + joints[[3, 6], :2].mean(0)
    seen = lens.seen(np.concatenate([ring, np.zeros((24, 1))], -1))
    if seen[:, 2].min() < NEAR:
        return ground
    corners = np.round(lens.project(seen)).astype(np.int32)
    mask = cv2.fillConvexPoly(np.zeros(ground.shape[:2], np.float32), corners, 0.45)
    soft = cv2.GaussianBlur(mask, (0, 0), lens.focal * 0.06 / float(seen[:, 2].mean()))
    return np.asarray(ground * (1 - soft[..., None]), np.float32)


def _lens(rng: np.random.Generator, size: tuple[int, int], tall: float) -> Lens:
    """It looks at the middle of a person of 1.7 m who stands at the origin."""
    focal = max(size) * rng.uniform(0.9, 1.8)
    far = focal * 1.7 / (tall * size[1])
    height = rng.uniform(0.4, 2.4)
    aim = np.array([0.0, 0.0, rng.uniform(0.75, 0.95)])
    centre = np.array([0.0, -np.sqrt(max(far**2 - (height - aim[2]) ** 2, 0.5)), height])
    rotation = looking(aim - centre, roll=rng.normal(0, 0.03))
    return Lens(rotation, centre, focal, size)


def _places(rng: np.random.Generator, lens: Lens, people: int, wide: float) -> list[Array]:
    """Where people stand on the floor: the first at the origin, each other near one before."""
    far = -lens.centre[1]
    aside = far * lens.size[0] / lens.focal / 2  # what the picture shows to either side
    places = [np.zeros(2)]
    while len(places) < people:
        step = rng.normal(0, wide, 2) * (0.8, 1.0)
        place = places[rng.integers(len(places))] + step
        apart = min(np.linalg.norm(place - other) for other in places)
        if apart > 0.3 and abs(place[0]) < 0.9 * aside and place[1] > -0.45 * far:
            places.append(place)
        wide *= 1.02  # a full place widens
    return places


def _somebody(rng: np.random.Generator, place: Array, frames: int) -> tuple[Array, Outfit]:
    """Joints (F, 17, 3), and what is worn; at the place in the first frame."""
    kind = list(KINDS)[rng.integers(len(KINDS))]
    joints = motion(kind, body.build(rng), max(frames, 2), rng)
    joints[..., :2] += place - joints[0, 0, :2]
    return joints, outfit(rng)


def _light(rng: np.random.Generator) -> Array:
    """Towards the light, in the camera's axes: from above, rather from the front."""
    return body.unit(np.array([rng.uniform(-1, 1), rng.uniform(-1.2, -0.2), -rng.uniform(0.2, 1)]))


def _clutter(
    rng: np.random.Generator, bodies: list[tuple[Array, Outfit]], lens: Lens
) -> Iterable[Solid]:
    """Poles, branches and bags behind people, of the colours that people have."""
    deep = max(joints[:, 1].max() for joints, _ in bodies)
    wide = (deep - lens.centre[1]) * lens.size[0] / lens.focal
    for _ in range(rng.integers(0, 6)):
        start = np.array(
            [*rng.uniform((-wide, deep + 0.4), (wide, deep + 3.0)), rng.uniform(0, 2.2)]
        )
        way = rng.normal(0, (0.3, 0.1, 0.6))
        worn = bodies[rng.integers(len(bodies))][1]
        cloth = (worn.skin, worn.shirt, worn.trousers)[rng.integers(3)]
        radius = rng.uniform(0.02, 0.12)
        yield Solid(start, start + way, (radius, radius * rng.uniform(0.5, 1.0)), cloth)


def _covers(rng: np.random.Generator, fine: Lens, joints: Array, hidden: float) -> Iterator[Cover]:
    """A pole, a board or a bush before some part of a body, so often."""
    if rng.random() >= hidden:
        return
    seen = fine.seen(joints)
    target, near = seen[rng.integers(len(joints))], float(seen[:, 2].min()) - rng.uniform(0.25, 0.6)
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
        yield Cover(near, corners, (), shade)
        return
    point = np.append((middle - (np.array(fine.size) - 1) / 2) / pixel, near)
    leaves = []
    for _ in range(rng.integers(1, 25)):
        leaf = (point + rng.normal(0, (0.13, 0.13, 0.05))) @ fine.rotation + fine.centre
        radius = rng.uniform(0.03, 0.07)
        cloth = Cloth(shade * rng.uniform(0.7, 1.2), shade)
        leaves.append(Solid(leaf, leaf + rng.normal(0, 0.05, 3), (radius, radius), cloth))
    yield Cover(near, None, leaves, shade)

"""Pictures of the synthetic body with its 2D joints: people in clothes, before something, perhaps
behind something. Nothing is read; the same generator paints the same picture.

Solids (posediff/data/figure.py) are painted in 2.5 dimensions. In the picture a solid is a segment
of radius r from a to b; a pixel at the distance d from the segment's nearest point c is on it where
d < r, and with s = d / r

    depth   z(c) - r sqrt(1 - s^2)           in metres; the nearest surface is what is seen
    normal  ((pixel - c) / r, -sqrt(1 - s^2))

so it shades and hides as a body does. A joint is seen (2) where nothing lies further before it than
the body around it is thick, else hidden (1), or outside the picture (0).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from posediff.data import body
from posediff.data.actions import KINDS, motion
from posediff.data.backdrop import Layer, backdrop, colour, noise
from posediff.data.figure import Cloth, Outfit, Solid, landmarks, outfit, solids
from posediff.data.synthetic import looking
from posediff.pose.skeleton import Skeleton

Array = NDArray[np.float64]
RGB = NDArray[np.uint8]

FINE = 2  # painted pixels per pixel of the picture, along each axis
NOBODY = -1  # who is seen in a pixel
FLESH = 0.16  # metres from a joint to the surface before it, at most
FACE = 0.06
NEAR = 0.4  # metres before the camera within which nothing is painted


class Scene(NamedTuple):
    """P people in a picture."""

    picture: RGB  # (h, w, 3)
    points: dict[str, Array]  # (P, 2) pixels by landmark
    visible: dict[str, NDArray[np.int64]]  # (P,) 0 outside, 1 hidden, 2 seen
    boxes: Array  # (P, 4) x, y, w, h around what is seen of each
    area: Array  # (P,) pixels that are seen of each


class Lens(NamedTuple):
    rotation: Array  # (3, 3) world -> camera
    centre: Array  # (3,) in the world
    focal: float  # pixels
    size: tuple[int, int]  # of the picture, width and height

    def seen(self, points: Array) -> Array:
        """World (..., 3) -> camera, x right, y down, z ahead."""
        seen: Array = (points - self.centre) @ self.rotation.T
        return seen

    def project(self, seen: Array) -> Array:
        middle = (np.array(self.size) - 1) / 2
        pixels: Array = self.focal * seen[..., :2] / seen[..., 2:] + middle
        return pixels


class Film:
    """What is seen so far: colour 0..1, depth in metres, and whose it is."""

    def __init__(self, ground: Layer, light: Array, rng: np.random.Generator) -> None:
        height, width = ground.shape[:2]
        self.colour = ground
        self.depth = np.full((height, width), np.inf, np.float32)
        self.owner = np.full((height, width), NOBODY, np.int64)
        self.light = light
        self.weave = noise(rng, (width, height), 6)

    def solid(self, lens: Lens, shape: Solid, owner: int) -> None:
        """lens: of the fine picture."""
        a, b = lens.seen(np.stack([shape.start, shape.end]))
        if min(a[2], b[2]) < NEAR:
            return
        (p, q), radii = lens.project(np.stack([a, b])), np.array(shape.radii)
        wide = lens.focal * radii / (a[2], b[2])
        low = np.floor(np.minimum(p - wide[0], q - wide[1])).astype(int)
        high = np.ceil(np.maximum(p + wide[0], q + wide[1])).astype(int) + 1
        (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, lens.size)
        if left >= right or top >= bottom:
            return
        y, x = np.ogrid[top:bottom, left:right]
        x, y, way = x - np.float32(p[0]), y - np.float32(p[1]), (q - p).astype(np.float32)
        t = np.clip((x * way[0] + y * way[1]) / max(float(way @ way), 1e-6), 0, 1)
        r = wide[0] + t * np.float32(wide[1] - wide[0])
        across, down = (x - t * way[0]) / r, (y - t * way[1]) / r
        square = across**2 + down**2
        bulge = np.sqrt(np.maximum(1 - square, 0))
        z = a[2] + t * (b[2] - a[2]) - (radii[0] + t * (radii[1] - radii[0])) * bulge
        window = slice(top, bottom), slice(left, right)
        here = (square < 1) & (z < self.depth[window])
        normal = np.stack([across[here], down[here], -bulge[here]], -1)
        side = (across * way[1] - down * way[0])[here] / max(float(np.hypot(*way)), 1e-6)
        length = float(np.linalg.norm(b - a))
        colour = dye(shape.cloth, t[here] * length, side * radii.mean())
        lit = 0.5 + 0.55 * np.maximum(normal @ self.light, 0) + 0.25 * self.weave[window][here]
        self._paint(window, here, colour * lit[:, None], z[here], owner)

    def panel(self, corners: Array, depth: float, colour: Array) -> None:
        """A flat thing (4, 2) that faces the camera, at one depth."""
        import cv2

        here = np.zeros(self.depth.shape, np.uint8)
        cv2.fillConvexPoly(here, np.round(corners).astype(np.int32), 1)
        mask = (here > 0) & (depth < self.depth)
        lit = 0.8 + 0.6 * self.weave[mask]
        whole = slice(None), slice(None)
        self._paint(whole, mask, colour * lit[:, None], np.full(mask.sum(), depth), NOBODY)

    def _paint(
        self,
        window: tuple[slice, slice],
        here: NDArray[np.bool_],
        colour: Array,
        depth: Array,
        owner: int,
    ) -> None:
        self.colour[window][here] = colour
        self.depth[window][here] = depth
        self.owner[window][here] = owner


def scene(
    rng: np.random.Generator,
    size: tuple[int, int] = (640, 480),
    people: int = 1,
    tall: tuple[float, float] = (0.45, 0.9),
    spread: float = 1.0,
    hidden: float = 0.3,
) -> Scene:
    """A picture of (width, height) `size` with so many people.

    tall: how much of the height of the picture a standing person takes where the first one is.
    spread: metres that the others are apart from the one before, on the average. hidden: how often
    something stands before somebody.
    """
    U = rng.uniform
    lens = _lens(rng, size, U(*tall))
    bodies = [_somebody(rng, place) for place in _places(rng, lens, people, spread)]
    light = _light(rng)
    film = Film(_ground(rng, lens, [joints for joints, _ in bodies]), light, rng)
    fine = lens._replace(focal=lens.focal * FINE, size=(size[0] * FINE, size[1] * FINE))
    for solid in _clutter(rng, bodies, lens):
        film.solid(fine, solid, NOBODY)
    for number, (joints, worn) in enumerate(bodies):
        for solid in solids(joints, worn):
            film.solid(fine, solid, number)
    for joints, _ in bodies:
        if rng.random() < hidden:
            _cover(rng, film, fine, joints)
    return _developed(rng, film, lens, [joints for joints, _ in bodies])


def labels(scene: Scene, skeleton: Skeleton) -> tuple[Array, NDArray[np.int64]]:
    """The joints of a skeleton (P, J, 2) in pixels and whether they are seen (P, J), 0, 1 or 2."""
    missing = [joint for joint in skeleton.joints if joint not in scene.points]
    if missing:
        raise ValueError(f"the synthetic body has no {missing[0]}, which {skeleton.name} asks for")
    points = np.stack([scene.points[joint] for joint in skeleton.joints], 1)
    visible = np.stack([scene.visible[joint] for joint in skeleton.joints], 1)
    return points * (visible > 0)[..., None], visible


def dye(cloth: Cloth, along: Array, side: Array) -> Array:
    """The colours (N, 3) of cloth at so many metres along a limb and off its middle line."""
    if not (cloth.along or cloth.across):
        return np.broadcast_to(cloth.colour, (len(along), 3))
    wave = np.sin(2 * np.pi * cloth.along * along) + np.sin(2 * np.pi * cloth.across * side)
    return np.where((wave > 0.3)[:, None], cloth.stripe, cloth.colour)


def _ground(rng: np.random.Generator, lens: Lens, bodies: Iterable[Array]) -> Layer:
    """What is behind everybody, in fine pixels, with shadows where people stand."""
    import cv2

    up = lens.rotation[:, 2]
    horizon = (lens.size[1] - 1) / 2 + lens.focal * up[2] / -up[1]
    ground = backdrop(rng, lens.size, horizon)
    for joints in bodies:
        ground = _shadow(ground, lens, joints)
    fine = (lens.size[0] * FINE, lens.size[1] * FINE)
    return np.asarray(cv2.resize(ground, fine, interpolation=cv2.INTER_LINEAR), np.float32)


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


def _places(rng: np.random.Generator, lens: Lens, people: int, spread: float) -> list[Array]:
    """Where people stand on the floor: the first at the origin, each other near one before."""
    far = -lens.centre[1]
    aside = far * lens.size[0] / lens.focal / 2  # what the picture shows to either side
    places = [np.zeros(2)]
    while len(places) < people:
        step = rng.normal(0, spread, 2) * (0.8, 1.0)
        place = places[rng.integers(len(places))] + step
        apart = min(np.linalg.norm(place - other) for other in places)
        if apart > 0.3 and abs(place[0]) < 0.9 * aside and place[1] > -0.45 * far:
            places.append(place)
        spread *= 1.02  # a full place widens
    return places


def _somebody(rng: np.random.Generator, place: Array) -> tuple[Array, Outfit]:
    kind = list(KINDS)[rng.integers(len(KINDS))]
    joints = motion(kind, body.build(rng), 2, rng)[0]
    joints[:, :2] += place - joints[0, :2]
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


def _cover(rng: np.random.Generator, film: Film, fine: Lens, joints: Array) -> None:
    """A pole, a board or a bush before some part of a body."""
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
        film.panel(corners, near, shade)
        return
    point = np.append((middle - (np.array(fine.size) - 1) / 2) / pixel, near)
    for _ in range(rng.integers(1, 25)):
        leaf = (point + rng.normal(0, (0.13, 0.13, 0.05))) @ fine.rotation + fine.centre
        radius = rng.uniform(0.03, 0.07)
        cloth = Cloth(shade * rng.uniform(0.7, 1.2), shade)
        film.solid(
            fine, Solid(leaf, leaf + rng.normal(0, 0.05, 3), (radius, radius), cloth), NOBODY
        )


def _developed(rng: np.random.Generator, film: Film, lens: Lens, bodies: list[Array]) -> Scene:
    """The picture with its labels, in its own pixels."""
    owner = film.owner[::FINE, ::FINE]
    depth = film.depth[::FINE, ::FINE]
    joints = landmarks(np.stack(bodies))
    points, visible = {}, {}
    for name, place in joints.items():
        seen = lens.seen(place)
        points[name] = lens.project(seen)
        flesh = FACE if name.endswith(("eye", "ear", "nose")) else FLESH
        visible[name] = _seen(points[name], seen[:, 2], depth, flesh)
    found = [np.argwhere(owner == n)[:, ::-1] for n in range(len(bodies))]
    low = np.array([x.min(0, initial=2**20) if len(x) else (0, 0) for x in found])
    high = np.array([x.max(0, initial=0) + 1 if len(x) else (0, 0) for x in found])

    return Scene(
        picture=_printed(rng, film, lens),
        points=points,
        visible=visible,
        boxes=np.concatenate([low, high - low], 1).astype(np.float64),
        area=np.array([len(x) for x in found], np.float64),
    )


def _printed(rng: np.random.Generator, film: Film, lens: Lens) -> RGB:
    """8 bits in the picture's own pixels, through an imperfect camera."""
    import cv2

    soft = cv2.GaussianBlur(film.colour, (0, 0), FINE * rng.uniform(0.2, 0.8))
    small = cv2.resize(soft, lens.size, interpolation=cv2.INTER_AREA)
    image = 255 * np.clip(small * rng.uniform(0.85, 1.1, 3), 0, 1) ** rng.uniform(0.8, 1.3)
    image += rng.normal(0, rng.uniform(0, 6), image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _seen(points: Array, z: Array, depth: NDArray[np.float32], flesh: float) -> NDArray[np.int64]:
    """0 outside the picture, 1 behind something, 2 seen. (P, 2), (P,) -> (P,)."""
    height, width = depth.shape
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (z > NEAR)
    before = depth[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.where(inside, np.where(z - before < flesh, 2, 1), 0)

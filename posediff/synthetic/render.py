"""How pictures of the synthetic body are painted, and what is seen of its joints there.

Solids (posediff/synthetic/figure.py) are painted in 2.5 dimensions. In the picture a solid is a
segment of radius r from a to b; a pixel at the distance d from the segment's nearest point c is on
it where d < r, and with s = d / r

    depth   z(c) - r sqrt(1 - s^2)           in metres; the nearest surface is what is seen
    normal  ((pixel - c) / r, -sqrt(1 - s^2))

so it shades and hides as a body does. A joint is seen (2) where nothing lies further before it than
the body around it is thick, else hidden (1), or outside the picture (0).
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from posediff.pose.skeleton import Skeleton
from posediff.synthetic.backdrop import Layer
from posediff.synthetic.figure import Cloth, Solid, landmarks
from posediff.synthetic.lens import Lens

Array = NDArray[np.float64]
RGB = NDArray[np.uint8]

FINE = 2  # painted pixels per pixel of the picture, along each axis
NOBODY = -1  # who is seen in a pixel
FLESH = 0.16  # metres from a joint to the surface before it, at most
FACE = 0.06
HEAD = ("nose", "head_top", "left_ear", "right_ear")
SKULL = 0.25  # of the head's height is around its joints
NEAR = 0.4  # metres before the camera within which nothing is painted


class Scene(NamedTuple):
    """P people in a picture."""

    picture: RGB  # (h, w, 3)
    points: dict[str, Array]  # (P, 2) pixels by landmark
    visible: dict[str, NDArray[np.int64]]  # (P,) 0 outside, 1 hidden, 2 seen
    boxes: Array  # (P, 4) x, y, w, h around what is seen of each
    area: Array  # (P,) pixels that are seen of each


class Painting:
    """What is seen so far: colour 0..1, depth in metres, and whose it is."""

    def __init__(self, ground: Layer, light: Array, weave: Layer) -> None:
        """weave: of all cloth, (h, w) about 0."""
        self.colour = ground
        self.depth = np.full(ground.shape[:2], np.inf, np.float32)
        self.owner = np.full(ground.shape[:2], NOBODY, np.int64)
        self.light, self.weave = light, weave

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


def labels(scene: Scene, skeleton: Skeleton) -> tuple[Array, NDArray[np.int64]]:
    """The joints of a skeleton (P, J, 2) in pixels and whether they are seen (P, J), 0, 1 or 2."""
    missing = [joint for joint in skeleton.joints if joint not in scene.points]
    if missing:
        raise ValueError(f"the synthetic body has no {missing[0]}, which {skeleton.name} asks for")
    points = np.stack([scene.points[joint] for joint in skeleton.joints], 1)
    visible = np.stack([scene.visible[joint] for joint in skeleton.joints], 1)
    return points * (visible > 0)[..., None], visible


def head_boxes(scene: Scene) -> Array:
    """(P, 4) x, y, w, h around the joints of each head with a margin, seen or not."""
    points = np.stack([scene.points[joint] for joint in HEAD], 1)
    low, high = points.min(1), points.max(1)
    margin = SKULL * (high - low).max(1, keepdims=True)
    return np.concatenate([low - margin, high - low + 2 * margin], 1).round(1)


def dye(cloth: Cloth, along: Array, side: Array) -> Array:
    """The colours (N, 3) of cloth at so many metres along a limb and off its middle line."""
    if not (cloth.along or cloth.across):
        return np.broadcast_to(cloth.colour, (len(along), 3))
    wave = np.sin(2 * np.pi * cloth.along * along) + np.sin(2 * np.pi * cloth.across * side)
    return np.where((wave > 0.3)[:, None], cloth.stripe, cloth.colour)


class Print(NamedTuple):
    """An imperfect camera."""

    blur: float  # pixels
    tint: Array  # (3,)
    gamma: float
    grain: float  # of 0..255

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Self:
        blur, tint = rng.uniform(0.2, 0.8), rng.uniform(0.85, 1.1, 3)
        return cls(blur, tint, rng.uniform(0.8, 1.3), rng.uniform(0, 6))


def developed(
    rng: np.random.Generator, film: Painting, lens: Lens, bodies: list[Array], how: Print
) -> Scene:
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
        picture=_printed(rng, film, lens, how),
        points=points,
        visible=visible,
        boxes=np.concatenate([low, high - low], 1).astype(np.float64),
        area=np.array([len(x) for x in found], np.float64),
    )


def _printed(rng: np.random.Generator, film: Painting, lens: Lens, how: Print) -> RGB:
    """8 bits in the picture's own pixels."""
    import cv2

    soft = cv2.GaussianBlur(film.colour, (0, 0), FINE * how.blur)
    small = cv2.resize(soft, lens.size, interpolation=cv2.INTER_AREA)
    image = 255 * np.clip(small * how.tint, 0, 1) ** how.gamma
    image += rng.normal(0, how.grain, image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _seen(points: Array, z: Array, depth: NDArray[np.float32], flesh: float) -> NDArray[np.int64]:
    """0 outside the picture, 1 behind something, 2 seen. (P, 2), (P,) -> (P,)."""
    height, width = depth.shape
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (z > NEAR)
    before = depth[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.where(inside, np.where(z - before < flesh, 2, 1), 0)

"""Painted images of synthetic bodies, and the visibility of their joints.

Solids (posediff/synthetic/figure.py) are painted in 2.5 dimensions. In the image a solid is a
segment of radius r from a to b; a pixel at the distance d from the segment's nearest point c is on
it if d < r, and with s = d / r

    depth   z(c) - r sqrt(1 - s^2)           in metres; the nearest surface is visible
    normal  ((pixel - c) / r, -sqrt(1 - s^2))

which gives shading and occlusion as of a body. A joint is visible (2) if no surface is further in
front of it than the body around it is thick, else occluded (1), or outside the image (0).
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from posediff.pose.skeleton import Skeleton
from posediff.synthetic.backdrop import Layer
from posediff.synthetic.body import Array
from posediff.synthetic.figure import Cloth, Solid, landmarks
from posediff.synthetic.lens import Lens

RGB = NDArray[np.uint8]
Flags = NDArray[np.int64]

FINE = 2  # painted pixels per pixel of the image, along each axis
BACKGROUND = -1  # owner of a pixel without a person
BODY_DEPTH = 0.16  # metres from a joint to the surface in front of it, at most
FACE_DEPTH = 0.06
HEAD_JOINTS = ("nose", "head_top", "left_ear", "right_ear")
HEAD_MARGIN = 0.25  # of the head's longer side
NEAR = 0.4  # metres in front of the camera within which nothing is painted


class Scene(NamedTuple):
    """P people in an image."""

    picture: RGB  # (h, w, 3)
    points: dict[str, Array]  # (P, 2) pixels by landmark
    visible: dict[str, Flags]  # (P,) 0 outside, 1 occluded, 2 visible
    boxes: Array  # (P, 4) x, y, w, h around the visible pixels of each person
    area: Array  # (P,) visible pixels of each person
    bodies: Array  # (P, 17, 3) metres in the camera's axes, in the order of h36m17


class Painting:
    """Colour 0..1, depth in metres and owner (index of the person) of what is painted so far."""

    def __init__(self, ground: Layer, light: Array, weave: Layer) -> None:
        """light: direction towards it (3,). weave: texture of all cloth (h, w), about 0."""
        self.colour = ground
        self.depth = np.full(ground.shape[:2], np.inf, np.float32)
        self.owner = np.full(ground.shape[:2], BACKGROUND, np.int64)
        self.light, self.weave = light, weave

    def solid(self, lens: Lens, shape: Solid, owner: int) -> None:
        """Paint a solid. The size of the lens is that of the painting."""
        a, b = lens.to_camera(np.stack([shape.start, shape.end]))
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
        colour = cloth_colours(shape.cloth, t[here] * length, side * radii.mean())
        lit = 0.5 + 0.55 * np.maximum(normal @ self.light, 0) + 0.25 * self.weave[window][here]
        self.colour[window][here] = colour * lit[:, None]
        self.depth[window][here] = z[here]
        self.owner[window][here] = owner

    def panel(self, corners: Array, depth: float, colour: Array) -> None:
        """Paint a flat quadrangle (4, 2) that faces the camera, at one depth."""
        import cv2

        inside = np.zeros(self.depth.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(corners).astype(np.int32), 1)
        here = (inside > 0) & (depth < self.depth)
        lit = 0.8 + 0.6 * self.weave[here]
        self.colour[here] = colour * lit[:, None]
        self.depth[here] = depth
        self.owner[here] = BACKGROUND


def labels(scene: Scene, skeleton: Skeleton) -> tuple[Array, Flags]:
    """The joints of a skeleton (P, J, 2) in pixels, 0 outside the image, and their visibility
    (P, J), 0, 1 or 2. Raises ValueError if the body has no such joint."""
    for joint in skeleton.joints:
        if joint not in scene.points:
            raise ValueError(f"skeleton {skeleton.name}: the synthetic body has no {joint}")
    points = np.stack([scene.points[joint] for joint in skeleton.joints], 1)
    visible = np.stack([scene.visible[joint] for joint in skeleton.joints], 1)
    return points * (visible > 0)[..., None], visible


def head_boxes(scene: Scene) -> Array:
    """Boxes (P, 4) x, y, w, h around the joints of each head, visible or not, with a margin."""
    points = np.stack([scene.points[joint] for joint in HEAD_JOINTS], 1)
    low, high = points.min(1), points.max(1)
    margin = HEAD_MARGIN * (high - low).max(1, keepdims=True)
    return np.concatenate([low - margin, high - low + 2 * margin], 1).round(1)


def cloth_colours(cloth: Cloth, along: Array, side: Array) -> Array:
    """Colours (N, 3) of cloth at N places, in metres along a limb and beside its middle line."""
    if not (cloth.along or cloth.across):
        return np.broadcast_to(cloth.colour, (len(along), 3))
    wave = np.sin(2 * np.pi * cloth.along * along) + np.sin(2 * np.pi * cloth.across * side)
    return np.where((wave > 0.3)[:, None], cloth.stripe, cloth.colour)


class Sensor(NamedTuple):
    """The image errors of a camera."""

    blur: float  # standard deviation in pixels
    tint: Array  # (3,)
    gamma: float
    grain: float  # standard deviation of the noise, of 0..255

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        U = rng.uniform
        return cls(blur=U(0.2, 0.8), tint=U(0.85, 1.1, 3), gamma=U(0.8, 1.3), grain=U(0, 6))


def capture(
    rng: np.random.Generator, painting: Painting, lens: Lens, bodies: list[Array], sensor: Sensor
) -> Scene:
    """The image of a painting with its labels, in pixels of the lens. bodies: P of (17, 3)."""
    owner = painting.owner[::FINE, ::FINE]
    depth = painting.depth[::FINE, ::FINE]
    points, visible = {}, {}
    for name, place in landmarks(np.stack(bodies)).items():
        camera = lens.to_camera(place)
        points[name] = lens.project(camera)
        thick = FACE_DEPTH if name.endswith(("eye", "ear", "nose")) else BODY_DEPTH
        visible[name] = _visible(points[name], camera[:, 2], depth, thick)
    pixels = [np.argwhere(owner == n)[:, ::-1] for n in range(len(bodies))]
    low = np.array([x.min(0) if len(x) else (0, 0) for x in pixels])
    high = np.array([x.max(0) + 1 if len(x) else (0, 0) for x in pixels])

    return Scene(
        picture=_picture(rng, painting, lens, sensor),
        points=points,
        visible=visible,
        boxes=np.concatenate([low, high - low], 1).astype(np.float64),
        area=np.array([len(x) for x in pixels], np.float64),
        bodies=lens.to_camera(np.stack(bodies)),
    )


def _picture(rng: np.random.Generator, painting: Painting, lens: Lens, sensor: Sensor) -> RGB:
    import cv2

    soft = cv2.GaussianBlur(painting.colour, (0, 0), FINE * sensor.blur)
    small = cv2.resize(soft, lens.size, interpolation=cv2.INTER_AREA)
    image = 255 * np.clip(small * sensor.tint, 0, 1) ** sensor.gamma
    image += rng.normal(0, sensor.grain, image.shape)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _visible(points: Array, z: Array, depth: NDArray[np.float32], thick: float) -> Flags:
    """0 outside the image, 1 behind a surface, 2 visible. (P, 2), (P,) -> (P,)."""
    height, width = depth.shape
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (z > NEAR)
    surface = depth[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.where(inside, np.where(z - surface < thick, 2, 1), 0)

"""Views that training draws, instead of the cameras of a file.

    turned    the person is turned about the vertical and moved to another place in the room; the
              camera is that of the sample
    free      the person is turned and has another size and other bone lengths; the camera has a
              drawn focal length, distance, height, direction, roll and part of the lens distortion

A window of frames has one view: a moving person before a still camera. A view is a function of
numbers u in [0, 1), and none is drawn again:

    turned    all joints are within ROOM of the origin of the floor, if they fit in there
    free      the sphere around all joints is within the camera's cone, whose half-angle is
              a = atan(half / f), with `half` pixels from the middle to the nearest border: from the
              distance radius / sin(b), its half-angle is b = share a, and its middle is at most
              a - b from the camera's axis

Numbers are uniform, focal length and share in their logarithm. Their ranges are a choice of this
library (no paper gives any).
"""

import math

import torch
from torch import Tensor

from posediff.data.lifting.views import View, in_image
from posediff.pose.camera import Camera, camera_to_world, project, world_to_camera
from posediff.pose.skeleton import Skeleton
from posediff.synthetic.lens import looking

VIEWS = ("fixed", "turned", "free")

ROOM = 2.0  # metres, what a camera like Human3.6M's sees on all sides of a point 5 m away
SIZE = 0.12  # largest relative change of a body
BONE = 0.12  # the same of a bone, besides
FOCAL = (0.7, 2.5)  # widths of the image
SHARE = (0.2, 1.0)  # of the camera's cone that the person fills
HEIGHT = (0.2, 3.0)  # metres of the camera above the floor
STEEP = 0.8  # largest sine of the angle at which it looks up or down at the person
ROLL = 0.1  # radians to either side

NUMBERS = 9  # of a view, before those of the bones


def numbers(skeleton: Skeleton) -> int:
    """Count of the numbers that a view is a function of."""
    return NUMBERS + len(skeleton.edges)


def draw(
    views: str, frames: View, cameras: Camera, u: Tensor, skeleton: Skeleton
) -> tuple[View, Camera]:
    """Frames (B F, ...), window after window, and their cameras (B F, ...) in other views, turned
    or free, at the numbers u (B, n) of the windows."""
    F, J, D = len(frames.frame) // len(u), *frames.keypoints.shape[1:]
    cameras = Camera(*(part.double() for part in cameras))
    world = camera_to_world(frames.keypoints.double(), cameras).view(-1, F, J, D)
    world, camera = turned(world, u[:, 0]), Camera(*(part[::F] for part in cameras))
    if views == "turned":
        world = placed(world, u[:, 1:3])
    else:
        world = resized(world, u[:, 1], u[:, NUMBERS:], skeleton)
        camera = looking_at(world, camera, u[:, 2:NUMBERS])

    cameras = Camera(*(part.repeat_interleave(F, 0) for part in camera))
    keypoints = world_to_camera(world.flatten(0, 1), cameras)
    target = project(keypoints, cameras.intrinsics)
    visible = in_image(keypoints, target, cameras.size)
    frames = frames._replace(keypoints=keypoints.float(), target=target.float(), visible=visible)
    return frames, Camera(*(part.float() for part in cameras))


def turned(world: Tensor, u: Tensor) -> Tensor:
    """Windows (B, F, J, 3) turned about the vertical through the origin by u (B,) of a circle."""
    c, s = torch.cos(2 * math.pi * u), torch.sin(2 * math.pi * u)
    x, y, z = world.unbind(-1)
    c, s = c[:, None, None], s[:, None, None]
    return torch.stack([c * x - s * y, s * x + c * y, z], -1)


def placed(world: Tensor, u: Tensor) -> Tensor:
    """Windows (B, F, J, 3) moved along the floor; u (B, 2). Their middle is in the disk around the
    origin that leaves all joints within ROOM, or at the origin if they are farther apart."""
    middle, radius = _sphere(world[..., :2])
    move = _in_disk((ROOM - radius).clamp(min=0), u) - middle
    return world + torch.nn.functional.pad(move, (0, 1))[:, None, None]


def resized(world: Tensor, size: Tensor, bones: Tensor, skeleton: Skeleton) -> Tensor:
    """Windows (B, F, J, 3) of larger or smaller people, whose left and right are alike.

    size (B,) of the body and its motion, about the origin; bones (B, E) of the bones in
    `skeleton.edges`, besides.
    """
    edges, flip = skeleton.edges, skeleton.flip
    pair = [min(e, edges.index((flip[a], flip[b]))) for e, (a, b) in enumerate(edges)]
    world = world * _between(1 - SIZE, 1 + SIZE, size)[:, None, None, None]
    return skeleton.stretched(world, _between(1 - BONE, 1 + BONE, bones[:, pair])[:, None])


def looking_at(world: Tensor, camera: Camera, u: Tensor) -> Camera:
    """Cameras that see windows (B, F, J, 3) as a whole, in direction y of the world; u (B, 7).

    The size and the middle of the image are those of `camera`, and so is the shape of a pixel.
    """
    focal, share, height, lens, roll = u[:, :5].unbind(-1)
    f, c, distortion = torch.split(camera.intrinsics, [2, 2, 5], -1)
    f = f / f[:, :1] * (camera.size[:, 0] * _ratio(*FOCAL, focal))[:, None]
    a = torch.atan(torch.minimum(c, camera.size - c).amin(-1) / f.amax(-1))
    b = a * _ratio(*SHARE, share)

    middle, radius = _sphere(world)
    distance = radius / torch.sin(b)
    sine = ((_between(*HEIGHT, height) - middle[:, 2]) / distance).clamp(-STEEP, STEEP)
    cosine, zero, one = (1 - sine**2).sqrt(), torch.zeros_like(sine), torch.ones_like(sine)
    ahead, across, up = (
        torch.stack(axis, -1)
        for axis in ((zero, cosine, -sine), (one, zero, zero), (zero, sine, cosine))
    )
    off = _in_disk(torch.tan(a - b), u[:, 5:])
    way = ahead + off[:, :1] * across + off[:, 1:] * up
    rotation = looking(way.numpy(), _between(-ROLL, ROLL, roll)[:, None].numpy())
    return Camera(
        torch.from_numpy(rotation),
        middle - distance[:, None] * ahead,
        torch.cat([f, c, lens[:, None] * distortion], -1),
        camera.size,
    )


def _sphere(points: Tensor) -> tuple[Tensor, Tensor]:
    """The middle (B, D) of the box around all points (B, F, J, D), and the distance (B,) of the
    farthest point from it."""
    points = points.flatten(1, 2)
    middle = (points.amin(1) + points.amax(1)) / 2
    return middle, (points - middle[:, None]).norm(dim=-1).amax(-1)


def _in_disk(radius: Tensor, u: Tensor) -> Tensor:
    """Points (B, 2) of disks with these radii (B,), uniform for u (B, 2) in [0, 1)."""
    angle = 2 * math.pi * u[:, 1]
    return (radius * u[:, 0].sqrt())[:, None] * torch.stack([angle.cos(), angle.sin()], -1)


def _between(low: float, high: float, u: Tensor) -> Tensor:
    return low + (high - low) * u


def _ratio(low: float, high: float, u: Tensor) -> Tensor:
    return low * (high / low) ** u

"""toy2d: a head that no file of posediff names. It diffuses the joints of a person in a picture.

x_0 = 2 p / (W, H) - 1       crop pixels p, (J, 2)
"""

import torch
from torch import nn

from posediff.diffusion import Decoded, Noise, Output, Prior, TaskHead
from posediff.pose.affine import invert, mirror_points, transform
from posediff.pose.crop import mirror_crop
from posediff.pose.skeleton import skeleton as named


class Points(TaskHead):
    def __init__(self, skeleton, size, width):
        super().__init__()
        self.skeleton, self.bones, self.size = skeleton, named(skeleton), tuple(size)
        J = len(self.bones.joints)
        self.look = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, width))
        self.say = nn.Sequential(
            nn.Linear(2 * J + 1 + width, width), nn.ReLU(), nn.Linear(width, 2 * J)
        )

    def encode(self, sample):
        return {"seen": self.look(sample["image"])}

    def prior(self, context, noise: Noise):
        seen = context["seen"]
        return Prior.standard(seen.new_zeros(len(seen), len(self.bones.joints), 2))

    def denoise(self, x_t, t, context):
        read = torch.cat([x_t.flatten(1), t[:, None] / 1000, context["seen"]], 1)
        return Output(self.say(read).view_as(x_t))

    def target(self, sample):
        return self.state(sample["keypoints"])

    def state(self, points):
        return 2 * points / points.new_tensor(self.size) - 1

    def pixels(self, x):
        return (x + 1) / 2 * x.new_tensor(self.size)

    def decode(self, estimates, sample):
        points = transform(self.pixels(estimates), invert(sample["affine"])[:, None])
        return Decoded(points, torch.ones_like(points[..., 0]))

    def mirror(self, x):
        return self.state(mirror_points(self.pixels(x), self.size[0], self.bones))

    def mirror_sample(self, sample):
        return mirror_crop(sample, "image", self.size[0], self.bones)

"""A small head of image2d, people to show it, and an oracle in the place of its networks."""

import torch
from torch import nn

from posediff.diffusion import (
    DDIMSampler,
    DiffusionModel,
    Process,
)
from posediff.diffusion.schedule import cosine
from posediff.nn.backbone import Backbone
from posediff.pose.skeleton import skeleton
from posediff.tasks.image2d import Image2D

BONES = skeleton("crowdpose14")
J = len(BONES.joints)
SIZE = (96, 128)
LIGHT = {"channels": 8, "blocks": 1, "multipliers": (1, 2)}
WARM = DDIMSampler(4, start=250)


class Tiny(Backbone):
    """Two strided convolutions and a look around."""

    channels = 32

    def __init__(self):
        super().__init__()
        layers, c = [], 3
        for stride in (2, 2, 1, 1):
            layers += [nn.Conv2d(c, 32, 3, stride, 1), nn.GroupNorm(4, 32), nn.ReLU()]
            c = 32
        self.net = nn.Sequential(*layers)

    def forward(self, image):
        return self.net(image)


def image2d(size=SIZE, **options):
    torch.manual_seed(0)
    head = Image2D("crowdpose14", Tiny(), **{"size": size, **LIGHT, **options})
    for out in (head.coarse.out, head.sgdd.out):  # maps with something to see from the start
        nn.init.normal_(out.weight, std=0.3)
    return head.eval()


def diffusion(head, sampler=WARM, K=1):
    return DiffusionModel(head, Process(cosine(1000), clip=2.0), sampler, hypotheses=K)


def people(n=3, size=SIZE, seed=0):
    """Keypoints inside the crop, noise for a picture, and a crop that is not the picture."""
    g = torch.Generator().manual_seed(seed)
    inside = 0.15 + 0.7 * torch.rand(n, J, 2, generator=g)
    return {
        "id": [f"p{i}" for i in range(n)],
        "image": torch.randn(n, 3, size[1], size[0], generator=g),
        "keypoints": inside * (torch.tensor(size) - 1),
        "visible": torch.ones(n, J),
        "affine": torch.tensor([[0.5, 0.0, 3.0], [0.0, 0.5, -7.0]]).repeat(n, 1, 1),
    }


class Says(nn.Module):
    """In the place of a network: says the same of every sample, for all its hypotheses."""

    def __init__(self, maps):
        super().__init__()
        self.maps, self.calls = maps, 0
        self.stem_features = nn.Identity()

    def forward(self, seen, *rest):
        self.calls += 1
        return self.maps.repeat_interleave(len(seen) // len(self.maps), 0)


def truth(head, sample):
    return head.coarse.codec.encode(sample["keypoints"], sample["visible"])[0]


def oracle(head, sample, coarse=False):
    head.sgdd = Says(truth(head, sample))
    if coarse:
        head.coarse.out = Says(truth(head, sample))
    return head

"""A small head of image2d, people as its input, and stubs that replace its networks."""

from functools import partial
from inspect import signature

import torch
from torch import nn

from posediff.diffusion import (
    DDIMSampler,
    DiffusionModel,
    Process,
)
from posediff.diffusion.schedule import cosine
from posediff.nn.backbone import Backbone
from posediff.pose import combined
from posediff.pose.skeleton import skeleton as named
from posediff.tasks.image2d import SGDD, Coarse, Guide, Image2D, Masks, Space

BONES = named("crowdpose14")
J = len(BONES.joints)
SIZE = (96, 128)
LIGHT = {"channels": 8, "blocks": 1, "multipliers": (1, 2)}
WARM = DDIMSampler(4, start=250)


class Tiny(Backbone):
    """Four convolutions, of which two are strided."""

    channels = 32

    def __init__(self):
        super().__init__()
        layers, c = [], 3
        for stride in (2, 2, 1, 1):
            layers += [nn.Conv2d(c, 32, 3, stride, 1), nn.GroupNorm(4, 32), nn.ReLU()]
            c = 32
        self.net = nn.Sequential(*layers)

    def maps(self, image):
        return [self.net(image)]


def untrained(
    skeleton="crowdpose14", codec="udp", size=SIZE, stride=4, condition=("kps", "ske"), **options
):
    """A head with fresh weights, built from flat options: each part takes those that it has a
    parameter for, and `set_inference` takes the rest.

    Raises ValueError for an option that no part has.
    """
    shared = {
        "skeleton": skeleton,
        "backbone": Tiny(),
        "codec": combined.codec(codec, size, stride),
        "condition": condition,
        "width": Tiny.channels,
        "features": Tiny.channels,
    }

    def part(make):
        keys = signature(make).parameters
        own = {key: options.pop(key) for key in keys if key in options}
        return make(**{key: x for key, x in shared.items() if key in keys}, **own)

    parts = map(part, (Coarse, Space, Masks, Guide, SGDD))
    head = part(partial(Image2D, *parts))
    head.set_inference(**options)
    return head


def image2d(**options):
    """A small head whose maps are not nearly 0 before any training. Options as of `untrained`."""
    torch.manual_seed(0)
    head = untrained(**{**LIGHT, **options})
    for out in (head.coarse.out, head.sgdd.out):
        nn.init.normal_(out.weight, std=0.3)
    return head.eval()


def diffusion(head, sampler=WARM, K=1):
    return DiffusionModel(head, Process(cosine(1000), bound=2.0), sampler, hypotheses=K)


def people(n=3, size=SIZE, seed=0):
    """Keypoints inside the crop, an image of noise, and an affine that is not the identity."""
    g = torch.Generator().manual_seed(seed)
    inside = 0.15 + 0.7 * torch.rand(n, J, 2, generator=g)
    return {
        "id": [f"p{i}" for i in range(n)],
        "image": torch.randn(n, 3, size[1], size[0], generator=g),
        "keypoints": inside * (torch.tensor(size) - 1),
        "visible": torch.ones(n, J),
        "affine": torch.tensor([[0.5, 0.0, 3.0], [0.0, 0.5, -7.0]]).repeat(n, 1, 1),
    }


class Constant(nn.Module):
    """Replaces a network: returns the same maps of a sample for all its hypotheses, whatever its
    input is, and keeps the inputs of every call."""

    def __init__(self, maps):
        super().__init__()
        self.maps, self.calls = maps, []
        self.stem_features = nn.Identity()

    def forward(self, *inputs):
        self.calls.append(inputs)
        return self.maps.repeat_interleave(len(inputs[0]) // len(self.maps), 0)


def truth(head, sample):
    return head.coarse.codec.encode(sample["keypoints"], sample["visible"])[0]


def oracle(head, sample, coarse=False):
    """The head with the true heatmaps as the answer of its decoder, and of its coarse layer if
    asked for."""
    head.sgdd = Constant(truth(head, sample))
    if coarse:
        head.coarse.out = Constant(truth(head, sample))
    return head

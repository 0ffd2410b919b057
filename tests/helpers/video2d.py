"""A small head of video2d and its baseline, and clips to show them."""

import torch
from torch import nn

from posediff.diffusion import DDIMSampler, DiffusionModel, Process
from posediff.diffusion.schedule import cosine
from posediff.nn.backbone import Backbone
from posediff.pose.skeleton import skeleton
from posediff.tasks.video2d import Plain, Video2D

BONES = skeleton("crowdpose14")
J = len(BONES.joints)
SIZE = (48, 64)
THREE = (-1, 0, 1)
LIGHT = {"channels": 32, "state_channels": 16, "lookup": {"width": 16}}
LIGHT |= {"strl": {"depth": 1, "heads": 4, "ratio": 2}, "offsets": THREE}

# as small, for the commands
OVERRIDES = (
    "dataset.size=[32,48]",
    "dataset.offsets=[-1,0,1]",
    "backbone=small",
    "task.head.channels=16",
    "task.head.state_channels=8",
    "task.head.lookup.width=8",
    "task.head.strl={depth: 1, heads: 2, ratio: 2}",
)


class Tiny(Backbone):
    """Two strided convolutions; counts its calls."""

    channels = 16

    def __init__(self):
        super().__init__()
        self.calls = []
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU()
        )

    def forward(self, image):
        self.calls.append(len(image))
        return self.net(image)


def loud(head):
    """Maps with something to see before any training."""
    out = head.decoder.out if isinstance(head, Video2D) else head.out
    nn.init.normal_(out.weight, std=0.3)
    return head.eval()


def video2d(**options):
    torch.manual_seed(0)
    return loud(Video2D("crowdpose14", Tiny(), **{"size": SIZE, **LIGHT, **options}))


def plain_head(**options):
    torch.manual_seed(0)
    shared = {k: LIGHT[k] for k in ("channels", "strl", "offsets")}
    return loud(Plain("crowdpose14", Tiny(), **{"size": SIZE, **shared, **options}))


def diffusion(head, steps=4, K=1, **options):
    return DiffusionModel(
        head, Process(cosine(1000), clip=1.0), DDIMSampler(steps), hypotheses=K, **options
    )


def clips(n=3, size=SIZE, frames=3, seed=0):
    """Keypoints inside the crop, noise for frames, and a crop that is not the picture."""
    g = torch.Generator().manual_seed(seed)
    inside = 0.15 + 0.7 * torch.rand(n, J, 2, generator=g)
    return {
        "id": [f"v/{i}/0" for i in range(n)],
        "frames": torch.randn(n, frames, 3, size[1], size[0], generator=g),
        "frames_valid": torch.ones(n, frames),
        "track_id": torch.zeros(n, dtype=torch.long),
        "keypoints": inside * (torch.tensor(size) - 1),
        "visible": torch.ones(n, J),
        "affine": torch.tensor([[0.5, 0.0, 3.0], [0.0, 0.5, -7.0]]).repeat(n, 1, 1),
    }

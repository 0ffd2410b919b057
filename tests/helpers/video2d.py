"""A small head of video2d and its baseline, made from short options, and clips for them."""

from functools import partial

import torch
from torch import nn

from posediff.diffusion import DDIMSampler, DiffusionModel, Process
from posediff.diffusion.schedule import cosine
from posediff.nn.backbone import Backbone
from posediff.pose.combined import codec as codec_named
from posediff.pose.skeleton import skeleton
from posediff.tasks.video2d import ClipFeatures, Plain, PoseDecoder, Video2D

NAME = "crowdpose14"
J = len(skeleton(NAME).joints)
SIZE = (48, 64)
THREE = (-1, 0, 1)
CLIP = {"offsets": THREE, "channels": 32, "depth": 1, "heads": 4, "ratio": 2}
DECODER = {"state_channels": 16, "width": 16}
CLIP_KEYS = (*CLIP, "patch", "merge", "up")
DECODER_KEYS = (*DECODER, "mode", "refine", "fuse", "scales", "shift")

# the same for commands, smaller
OVERRIDES = (
    "dataset.size=[32,48]",
    "dataset.offsets=[-1,0,1]",
    "backbone=small",
    "task.clip_features={channels: 16, depth: 1, heads: 2, ratio: 2}",
    "task.head.decoder={state_channels: 8, width: 8}",
)


class Tiny(Backbone):
    """Two strided convolutions. `calls` are the sizes of its batches."""

    channels = 16

    def __init__(self):
        super().__init__()
        self.calls = []
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU()
        )

    def maps(self, image):
        self.calls.append(len(image))
        return [self.net(image)]


def loud(head):
    """The head with maps that are not nearly 0, in evaluation mode."""
    out = head.decoder.out if isinstance(head, Video2D) else head.out
    nn.init.normal_(out.weight, std=0.3)
    return head.eval()


def parts(size=SIZE, codec="quarter", backbone=None, **options):
    """The parts that heads of both kinds have, and the options that are not theirs."""
    clip = CLIP | {key: options.pop(key) for key in CLIP_KEYS if key in options}
    made = {"skeleton": NAME, "codec": codec_named(codec, size), "backbone": backbone or Tiny()}
    return made | {"clip": partial(ClipFeatures, size=size, **clip)}, options


def untrained(**options):
    """A `Video2D` with the weights that training begins with."""
    torch.manual_seed(0)
    made, rest = parts(**options)
    given = DECODER | {key: rest.pop(key) for key in DECODER_KEYS if key in rest}
    decoder = PoseDecoder(NAME, made["clip"].keywords["channels"], **given)
    return Video2D(decoder=decoder, **made, **rest)


def video2d(**options):
    """A head by the options of itself and of its parts."""
    return loud(untrained(**options))


def plain_head(**options):
    torch.manual_seed(0)
    made, rest = parts(**options)
    return loud(Plain(**made, **rest))


def diffusion(head, steps=4, K=1, **options):
    return DiffusionModel(
        head, Process(cosine(1000), bound=1.0), DDIMSampler(steps), hypotheses=K, **options
    )


def clips(n=3, size=SIZE, frames=3, seed=0):
    """A batch: keypoints inside the crop, frames of noise, an affine that is not the identity."""
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

"""Diffusion models for human pose: 2D from an image, 2D from video, 3D from 2D.

model = posediff.load("runs/lift3d/synthetic/<name>/checkpoints/best")
poses = posediff.lift(model, points)    # (F, 17, 2) pixels: COCO's joints in successive frames
poses.keypoints, poses.hypotheses, poses.spread

posediff.estimate yields the people of photos and videos, in 2D and 3D; posediff.save and
posediff.view write them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from posediff.checkpoint import load as load
from posediff.config import build as build
from posediff.data.lifting.windows import windowed as windowed
from posediff.diffusion import Hypotheses as Hypotheses
from posediff.diffusion import Model as Model
from posediff.diffusion import Poses as Poses
from posediff.inference.lift import lift as lift
from posediff.inference.lifting_input import lifting_sample as lifting_sample
from posediff.people.frame import Frame as Frame
from posediff.people.frame import Person as Person
from posediff.pose.skeleton import Skeleton as Skeleton
from posediff.pose.skeleton import skeleton as skeleton

if TYPE_CHECKING:
    from posediff.exporting.write import export as export
    from posediff.outputs.save import save as save
    from posediff.people.estimate import estimate as estimate
    from posediff.visual.viewer import view as view

__version__ = "0.1.0"

# what a training does not need is imported when it is used first
_LATER = {
    "estimate": "posediff.people.estimate",
    "export": "posediff.exporting.write",
    "save": "posediff.outputs.save",
    "view": "posediff.visual.viewer",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)

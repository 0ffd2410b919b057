"""Diffusion models for human pose: 2D from an image, 2D from video, 3D from 2D.

model = posediff.load("runs/lift3d/synthetic/<name>/checkpoints/best")
poses = posediff.lift(model, points)    # (F, 17, 2) pixels: COCO's joints in successive frames
poses.keypoints, poses.hypotheses, poses.spread
"""

from posediff.checkpoint import load as load
from posediff.config import build as build
from posediff.data.lifting.windows import windowed as windowed
from posediff.diffusion import Hypotheses as Hypotheses
from posediff.diffusion import Model as Model
from posediff.diffusion import Poses as Poses
from posediff.inference.lift import lift as lift
from posediff.inference.lifting_input import lifting_sample as lifting_sample
from posediff.outputs.save import save as save
from posediff.pose.skeleton import Skeleton as Skeleton
from posediff.pose.skeleton import skeleton as skeleton

__version__ = "0.1.0"

"""Command lines of lifters that are hardly trained, on a few synthetic clips."""

from helpers.commands import LIMIT

TINY = ("dataset=synthetic", "dataset.clips=2", "dataset.length=20", *LIMIT, "device=cpu")
ENCODER = ("experiment=lift3d_encoder", "model.head.width=16", "model.head.depth=1", *TINY)
LIFT = ("task=lift3d", "task.head.width=16", "task.head.depth=1", *TINY)

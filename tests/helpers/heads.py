"""All heads of the library, as small models of conf/, each with a batch of samples."""

from functools import cache
from typing import Any, NamedTuple

import torch

from posediff import config, tree

LIFT = ("dataset=synthetic", "dataset.clips=2", "dataset.length=20")
WINDOW = (*LIFT, "dataset.window=9")
GRAPH = ("task=lift3d", "task.head.width=16", "task.head.depth=1")
TRUNK = ("task.head.trunk.width=16", "task.head.trunk.depth=1")
ALONE = ("model.head.width=16", "model.head.depth=1")
MIXSTE = (*ALONE, "model.head.heads=2")
PICTURES = ("dataset=synthetic_pictures", "dataset.pictures=3", "dataset.size=[48,64]")
CLIPS = (
    *("dataset=synthetic_video", "dataset.clips=2", "dataset.length=3", "dataset.offsets=[-1,0,1]"),
    *("dataset.size=[32,48]", "dataset.codec=udp", "backbone=small", "backbone.features=16"),
    "task.clip_features={channels: 16, depth: 1, heads: 2, ratio: 2}",
)
DECODER = "task.head.decoder={state_channels: 8, width: 8}"
SGDD = ("task=image2d", "task.head.decoder={channels: 8, blocks: 1, multipliers: [1, 2]}")

HEADS = {
    "encoder": ("experiment=lift3d_encoder", *ALONE, *LIFT),
    "video_encoder": ("experiment=lift3d_video_encoder", *MIXSTE, *WINDOW),
    "paper": (*GRAPH, *LIFT),
    "paper_video": (*GRAPH, "preset=paper_video", *WINDOW),
    "paper_centre": (
        *(*GRAPH, "preset=paper_video", "task.head.temporal=false", "task.head.answers=centre"),
        *WINDOW,
    ),
    "posterior": (*GRAPH, "preset=posterior", *TRUNK, *LIFT),
    "posterior_video": (
        *GRAPH,
        "preset=posterior_video",
        *TRUNK,
        "task.head.trunk.heads=2",
        *WINDOW,
    ),
    "posterior_refined": (
        *(*GRAPH, "preset=posterior_refined", *TRUNK, "task.head.trunk.heads=2"),
        *WINDOW,
    ),
    "official_frame": (*GRAPH, "preset=official_frame", *LIFT),
    "official_video": (*GRAPH, "preset=official_video", *WINDOW),
    "d3dp": (*GRAPH, "preset=d3dp", "task.head.heads=2", *WINDOW),
    "coarse": ("experiment=image2d_coarse", *PICTURES),
    "sgdd": (*SGDD, "task.inference.init=coarse+noise", *PICTURES),
    "sgdd_noise": (*SGDD, "preset=sgdd_noise", *PICTURES),
    "plain": ("experiment=video2d_plain", *CLIPS),
    "reconstruction": ("task=video2d", DECODER, *CLIPS),
}
DIFFUSIONS = [name for name in HEADS if name not in ("encoder", "video_encoder", "coarse", "plain")]
ENCODERS = {
    "experiment=lift3d_encoder": "encoder",
    "experiment=lift3d_video_encoder": "video_encoder",
}


class Case(NamedTuple):
    config: Any  # as composed
    tree: dict[str, Any]  # of the model, complete
    sample: dict[str, Any]  # of held-out data


@cache
def case(name: str) -> Case:
    cfg = config.compose("train", [*HEADS[name], "backbone.weights=null"])
    made = config.plain(cfg.model)
    if cfg.task.trains_first and cfg.task.method != "encoder":
        made["head"]["encoder"] = case(ENCODERS[cfg.task.trains_first]).tree["head"]
    if "encoder" in made["head"].get("trunk", {}):
        made["head"]["trunk"]["encoder"] = case("posterior").tree["head"]
    data = config.dataset(cfg, "validation")
    return Case(cfg, made, data.__getitems__([0, 1, len(data) - 1]))


def model(name: str, seed: int = 0) -> Any:
    """A new model, in evaluation mode, of which no layer is 0."""
    torch.manual_seed(seed)
    made = tree.build(case(name).tree)
    generator = torch.Generator().manual_seed(seed + 1)
    for x in [*made.parameters(), *(b for k, b in made.named_buffers() if "residual" in k)]:
        x.data += 0.05 * torch.randn(x.shape, generator=generator).abs()
    return made.eval()

"""MoveNet Thunder as released on the test part of lspet_crops, as Markdown: the row that a model
trained here must beat.

    python benchmarks/movenet_lspet.py [posediff/weights/movenet_thunder/model.safetensors]

The whole loose crop is the input, its longer side 256 pixels. Released decoding: the person is
argmax sigmoid(center) / (distance to the middle + 1.8 cells), a joint

    argmax sigmoid(heatmap) / (distance to person + regress, + 1.8 cells),   plus its offset

COCO's joints are matched to CrowdPose's by name; the neck is the middle of the shoulders, and the
top of the head as far above the ears' middle as that is above the neck's middle, times .8.
"""

import argparse
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from posediff import config, engine
from posediff.data.pictures import picture_files
from posediff.diffusion import Poses
from posediff.inference.person_boxes import STRIDE, Maps, detector_input
from posediff.metrics.pck import TorsoPCK
from posediff.nn import weights
from posediff.nn.movenet import POSE, THUNDER, MoveNet
from posediff.pose.skeleton import skeleton

NEAR = 1.8  # cells
CROP, COCO = skeleton("crowdpose14"), skeleton("coco17")
HEAD = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path("posediff/weights/movenet_thunder/model.safetensors")
    parser.add_argument("weights", type=Path, nargs="?", default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = MoveNet(THUNDER, POSE).eval()
    weights.load(network, args.weights)
    data = config.dataset(config.compose("eval", ["task=image2d", "dataset=lspet_crops"]), "test")
    metric = TorsoPCK(data.truth())
    for sample in engine.in_order(data, 1, label="MoveNet"):
        picture = picture_files.read(Path(sample["meta"]["path"][0]))
        image, factor = detector_input(picture, 256)
        with torch.inference_mode():
            points, scores = pose(network.answers(image), picture.shape, factor)
        points, scores = crowdpose(points / factor, scores)
        spread = torch.zeros(1, len(CROP.joints))
        metric.update(
            "mean", Poses(points[None], scores[None], points[None, None], spread, CROP.name), sample
        )
    figures = metric.compute()
    limbs, every = (figures[f"lspet_crops/{k}@0.2/mean"] for k in ("pck_limbs", "pck"))
    print(f"| MoveNet Thunder, its own heads, {date.today()} | {limbs:.1f} | {every:.1f} |")


def pose(maps: Maps, shape: tuple[int, ...], factor: float) -> tuple[Tensor, Tensor]:
    """COCO's joints (17, 2) in pixels of the input, and their scores (17,)."""
    heat, (h, w) = maps["heatmap"][0].sigmoid(), maps["center"].shape[-2:]
    cells = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij"), -1).float()
    middle = torch.tensor([shape[0], shape[1]]) * factor / (2 * STRIDE)
    near = maps["center"][0, 0].sigmoid() / ((cells - middle).norm(dim=-1) + NEAR)
    row, column = divmod(int(near.argmax()), w)
    reach = maps["regress"][0, :, row, column].view(-1, 2) + torch.tensor([row, column])
    distance = (cells[None] - reach[:, None, None]).norm(dim=-1)
    best = (heat / (distance + NEAR)).flatten(1).argmax(1)
    found = cells.flatten(0, 1)[best]
    offsets = maps["offset"][0].view(-1, 2, h * w)
    joints = torch.arange(len(found))
    points = STRIDE * (found + offsets[joints, :, best])
    return points[:, [1, 0]], heat.flatten(1)[joints, best]


def crowdpose(points: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """COCO's joints as CrowdPose's."""
    at = {name: (points[j], scores[j]) for j, name in enumerate(COCO.joints)}
    shoulders, ears = (
        (at[f"left_{part}"][0] + at[f"right_{part}"][0]) / 2 for part in ("shoulder", "ear")
    )
    sure = (at["left_shoulder"][1] + at["right_shoulder"][1]) / 2
    at["upper_neck"], at["head_top"] = (shoulders, sure), (ears + HEAD * (ears - shoulders), sure)
    chosen = [at[name] for name in CROP.joints]
    return torch.stack([p for p, _ in chosen]), torch.stack([s for _, s in chosen])


if __name__ == "__main__":
    main()

"""Released DiffPose weights (single frame) -> a model folder that posediff.load reads.

    python scripts/convert_checkpoint.py diffpose_uvxyz_cpn.pth gcn_xyz_cpn.pth OUT [--weights ema]

Takes the denoiser's file and the lifter's, in any order. Only tensors are read from them, never
pickled code. Prints what became of every key, and fails at the first that is missing, unknown or of
another shape. The released evaluation uses the model weights, not the EMA.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint, config
from posediff.tasks.lift3d.released import DENOISER, DEPTH, JOINTS, LIFTER, WIDTH, convert

PRESET = ("task=lift3d", "preset=official_frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", help="released .pth files, two networks")
    parser.add_argument("out", type=Path, help="the model folder to write")
    parser.add_argument("--weights", choices=("model", "ema"), default="model")
    args = parser.parse_args()
    try:
        write(args.files, args.out, args.weights)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


def write(files: list[Path], out: Path, weights: str) -> None:
    state, report = convert(files, weights)
    for network, kind in ((DENOISER, "denoiser"), (LIFTER, "lifter")):
        if not any(name.startswith(network.prefix) for name in state):
            raise ValueError(f"no file holds the {kind} {network.name}: give it beside {files[0]}")
    print("\n".join(report))
    # our encoder's residual; no released file has it, and the released method reads none
    state["head.encoder.residual"] = torch.zeros(JOINTS, 3)
    about = {
        "task": "lift3d",
        "method": "official_frame",
        "skeleton": "h36m17",
        "dataset": {"name": "h36m", "keypoints": "unknown", "noise": None},
        "weights": {"files": [path.name for path in files], "entry": weights},
        "overrides": list(PRESET),
        "model": model_tree(),
    }
    checkpoint.save(out, state, about)
    print(f"{out}: {sum(x.numel() for x in state.values()):,} numbers in {len(state)} entries")


def model_tree() -> dict[str, Any]:
    """What the preset composes, around a lifter of the released size."""
    sizes = [f"task.head.width={WIDTH}", f"task.head.depth={DEPTH}"]
    tree: dict[str, Any] = config.plain(config.compose("train", [*PRESET, *sizes]).model)
    encoder = {"_target_": "posediff.tasks.lift3d.Encoder", "skeleton": "h36m17"}
    tree["head"]["encoder"] = encoder | {"width": WIDTH, "depth": DEPTH}
    return tree


if __name__ == "__main__":
    main()

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

from posediff import checkpoint
from posediff.tasks.lift3d.released import DENOISER, DEPTH, JOINTS, LIFTER, WIDTH, convert

# what preset=official_frame composes; sampler and K may be set anew at every evaluation
MODEL: dict[str, Any] = {
    "_target_": "posediff.diffusion.DiffusionModel",
    "head": {
        "_target_": "posediff.tasks.lift3d.OfficialFrame",
        "encoder": {
            "_target_": "posediff.tasks.lift3d.Encoder",
            "skeleton": "h36m17",
            "width": WIDTH,
            "depth": DEPTH,
        },
        "width": WIDTH,
        "depth": DEPTH,
    },
    "process": {
        "_target_": "posediff.diffusion.Process",
        "schedule": {
            "_target_": "posediff.diffusion.schedule.linear",
            "steps": 51,
            "beta_start": 1e-4,
            "beta_end": 1e-3,
        },
        "predicts": "noise",
    },
    "sampler": {
        "_target_": "posediff.diffusion.DDIMSampler",
        "steps": 2,
        "start": 24,
        "spacing": "leading",
    },
    "hypotheses": 1,
}


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
    config = {
        "task": "lift3d",
        "method": "official_frame",
        "skeleton": "h36m17",
        "weights": {"files": [path.name for path in files], "entry": weights},
        "overrides": ["preset=official_frame"],
        "model": MODEL,
    }
    checkpoint.save(out, state, config)
    print(f"{out}: {sum(x.numel() for x in state.values()):,} numbers in {len(state)} entries")


if __name__ == "__main__":
    main()

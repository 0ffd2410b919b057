"""Released DiffPose and D3DP weights -> a model folder that posediff.load reads.

    python scripts/convert_checkpoint.py FILE [FILE] OUT [--weights ema]

    diffpose_uvxyz_cpn.pth gcn_xyz_cpn.pth              official_frame
    diffpose_video_uvxyz_cpn.pth mixste_cpn_243f.bin    official_video
    mixste_cpn_243f.bin                                 the lifter alone
    h36m_best_epoch.bin                                 d3dp

in any order. Only tensors are read from the files, no code in them is run. Prints the new name of
every key, and fails at the first key that is missing, unknown or of another shape. The released
evaluation uses the model weights, not the EMA.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posediff import checkpoint, config
from posediff.prepare.released import (
    DENOISER,
    DEPTH,
    JOINTS,
    LIFTER,
    WIDTH,
    convert,
    mixste_size,
)

LIFTERS = "head.encoder.network."
VIDEO = f"{LIFTERS}Temporal_pos_embed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+", help="released .pth or .bin files")
    parser.add_argument("out", type=Path, help="the model folder to write")
    parser.add_argument("--weights", choices=("model", "ema"), default="model")
    args = parser.parse_args()
    try:
        write(args.files, args.out, args.weights)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def write(files: list[Path], out: Path, weights: str) -> None:
    state, report = convert(files, weights)
    method, window, state, chosen = model_of(state, files)
    print("\n".join(report))
    tree = config.plain(config.compose("train", chosen).model)
    if method.startswith("official"):
        tree["head"]["encoder"] = lifter(state)
    about = {
        "task": "lift3d",
        "method": method,
        "skeleton": "h36m17",
        "dataset": {"name": "h36m", "keypoints": "unknown", "window": window, "noise": None},
        "weights": {"files": [path.name for path in files], "entry": weights},
        "overrides": [x for x in chosen if x.startswith(("task=", "preset=", "experiment="))],
        "model": tree,
    }
    checkpoint.save(out, state, about)
    print(f"{out}: {sum(x.numel() for x in state.values()):,} numbers in {len(state)} entries")


def model_of(
    state: dict[str, Tensor], files: list[Path]
) -> tuple[str, int, dict[str, Tensor], list[str]]:
    """Method, window, weights and overrides of the model that the files make together."""
    refines, denoises, lifts = (
        any(name.startswith(prefix) for name in state)
        for prefix in (DENOISER.prefix, "head.denoiser.", LIFTERS)
    )
    if denoises:
        if refines or lifts:
            raise ValueError(f"D3DP needs no other file beside it: give {files[0]} alone")
        size = mixste_size(state, "head.denoiser.")
        chosen = ["task=lift3d", "preset=d3dp", *settings("task.head", **size)]
        return "d3dp", size["window"], state, chosen
    if VIDEO in state and not refines:
        state = {name.replace("head.encoder.", "head."): x for name, x in state.items()}
        state["head.residual"] = torch.zeros(JOINTS, 3)
        size = mixste_size(state, "head.network.")
        chosen = ["experiment=lift3d_video_encoder", *settings("model.head", **size)]
        return "encoder", size["window"], state, chosen
    for present, (network, kind) in (
        (refines, (DENOISER, "denoiser")),
        (lifts, (LIFTER, "lifter")),
    ):
        if not present:
            raise ValueError(f"no file has the {kind} {network.name}: give it beside {files[0]}")
    # the residual of our encoder: no released file has it, and the released method reads none
    state["head.encoder.residual"] = torch.zeros(JOINTS, 3)
    method = "official_video" if VIDEO in state else "official_frame"
    window = mixste_size(state, LIFTERS)["window"] if VIDEO in state else 1
    chosen = ["task=lift3d", f"preset={method}", *settings("task.head", window, WIDTH, DEPTH)]
    return method, window, state, chosen


def settings(head: str, window: int, width: int, depth: int) -> list[str]:
    """Overrides for the size of a head."""
    size = [f"{head}.width={width}", f"{head}.depth={depth}"]
    return ["dataset=h36m", f"dataset.window={window}", *size]


def lifter(state: dict[str, Tensor]) -> dict[str, Any]:
    """The node of a model tree for the lifter of an Official head."""
    if VIDEO in state:
        size = mixste_size(state, LIFTERS)
        return {"_target_": "posediff.tasks.lift3d.VideoEncoder", "skeleton": "h36m17", **size}
    size = {"width": WIDTH, "depth": DEPTH}
    return {"_target_": "posediff.tasks.lift3d.Encoder", "skeleton": "h36m17", **size}


if __name__ == "__main__":
    main()

"""The errors of a 2D model on labelled people -> the detector noise that lifters are trained on.

    python scripts/fit_noise.py conf/dataset/noise/own.yaml task=image2d dataset=lspet_crops \\
        checkpoint=<model folder>
    python -m posediff.train task=lift3d dataset=mocap dataset.keypoints=noisy dataset/noise=own

Behind the file stand the arguments of `python -m posediff.eval`: a model, a data set and the split,
`eval.split=test`, of people that nothing was trained on; of films (task=video2d) how long errors
last is measured, too. A file that is elsewhere is found with
`--config-dir DIR`, in DIR/dataset/noise. posediff/prepare/detector_errors.py has the formulas.
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posediff import checkpoint, config, engine
from posediff.command import command
from posediff.data.lifting.detector import TYPICAL, DetectorNoise
from posediff.data.random import name_keys
from posediff.eval import fits
from posediff.files import replacing
from posediff.pose.skeleton import skeleton
from posediff.prepare.detector_errors import Answers, measure
from posediff.prepare.provenance import command_line, known_roots
from posediff.sample import to
from posediff.trained_model import trained

STEPS = 10
USED = ("swap", "sigma_outlier", "scores", "sigmas", "outliers", "limb", "lasting", "unit")
LABELS = ("keypoints_annotation", "visible_annotation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the .yaml file to write")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the score, in the table")
    args, overrides = parser.parse_known_args()
    if args.out.suffix != ".yaml" or args.steps < 1:
        sys.exit(f"error: {args.out} must end with .yaml, and --steps must be 1 or more")
    sys.argv = [sys.argv[0], *overrides]
    fit = partial(write, out=args.out, steps=args.steps, overrides=overrides)
    command("eval")(update_wrapper(fit, write))()


def write(cfg: Any, out: Path, steps: int, overrides: list[str]) -> None:
    cfg, model, folder = trained(cfg, "eval")
    saved = checkpoint.read_config(folder)
    fits(cfg, saved, folder)
    start = f"python scripts/fit_noise.py {out.name}"
    facts = {"command": command_line(start, overrides, known_roots())}
    data = config.dataset(cfg, cfg.eval.split)
    size = engine.samples_of(cfg.eval.batch_size, model)
    answers = answers_of(model, engine.in_order(data, size, label="measuring"), cfg.seed)
    noise, about = measure(answers, skeleton(cfg.dataset.skeleton), steps)
    facts |= {
        "model": f"{saved['task']} {saved['method']}, {model.steps} steps, K {model.hypotheses}",
        "data": f"{cfg.dataset.name}, {cfg.eval.split}",
        **about,
    }
    with replacing(out) as part:
        part.write_text(text(noise, facts), encoding="utf-8")
    print(f"{out}: of {about['people']} people; train with dataset/noise={out.stem}")


@torch.no_grad()
def answers_of(model: Any, samples: Any, seed: int) -> Answers:
    """The answers of a model and the labels of all people of a data set.

    Raises ValueError if the samples are not labelled pictures.
    """
    device, found = next(model.parameters()).device, list[Answers]()
    for sample in samples:
        if not set(LABELS) <= sample.keys():
            raise ValueError("the data set has no labelled people in pictures: set another dataset")
        poses = model.predict(to(sample, device), seed=seed).cpu()
        labels = (sample[key] for key in LABELS)
        found.append(Answers(poses.keypoints, poses.scores, *labels, *places(sample)))
    return Answers(*(torch.cat(column) for column in zip(*found, strict=True)))


def places(sample: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Numbers of the people of films (B,), and of their frames (B,); -1 of photos. A sample of a
    film is named video/frame/person."""
    names = [x.rsplit("/", 2) for x in sample["id"]]
    if "track_id" not in sample:
        return torch.full((len(names),), -1), torch.full((len(names),), -1)
    people = name_keys([f"{video}/{person}" for video, _, person in names]) >> np.uint64(1)
    frames = [int(frame) for _, frame, _ in names]
    return torch.from_numpy(people.astype(np.int64)), torch.tensor(frames)


def text(noise: DetectorNoise, facts: Mapping[str, Any]) -> str:
    """The content of the file: the facts as comments, and the options of the noise."""
    target = f"{DetectorNoise.__module__}.{DetectorNoise.__qualname__}"
    return "\n".join(
        [
            "# Of keypoints=noisy, measured by scripts/fit_noise.py. Lengths are pixels for a",
            f"# person of {TYPICAL:.0f} pixels.",
            *(f"#   {key}: {value}" for key, value in facts.items()),
            f"_target_: {target}",
            *(f"{key}: {vars(noise)[key]}" for key in USED),
            "",
        ]
    )


if __name__ == "__main__":
    main()

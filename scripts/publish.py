"""A trained model -> a model that ships, in posediff/weights.

    python scripts/publish.py runs/lift3d/mocap/<run>/checkpoints/best lift3d
    python scripts/publish.py <run>/checkpoints/best image2d \\
        --share head.coarse.backbone=movenet_thunder

writes posediff/weights/lift3d/: model.safetensors in float16, config.json, log.jsonl (figures per
epoch) and the card README.md (posediff/prepare/model_card.py). What was written by hand into a card
that is there already is kept.

--take ENTRY=MODEL_FOLDER takes an entry from another model of the same training, such as the
head.factors of one that held out a person whom this one was trained on.

--share PART=FOLDER[:AT] takes the entries of a part of the model that are equal in float16 from
FOLDER/model.safetensors beside it, there at AT, so that models that have them in common store them
once. Entries that differ stay with the model.

Nothing is written if a fact of the training is missing, or if config.json would have a path of this
machine.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from torch import Tensor

from posediff import announce, checkpoint, config, recalibration, shipped, training_state
from posediff.files import replacing_folder
from posediff.prepare.model_card import card, unwritten
from posediff.prepare.provenance import command_line, known_roots, portable

STARTS = ("task.begin", "backbone.weights", "task.head.encoder")  # what a training starts from
CARD, LOG = "README.md", "log.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="checkpoints/best of a run")
    parser.add_argument("name")
    parser.add_argument(
        "--out", type=Path, default=shipped.PACKAGED, help="the folder of all models"
    )
    parser.add_argument("--take", action="append", default=[], metavar="ENTRY=MODEL_FOLDER")
    parser.add_argument("--share", action="append", default=[], metavar="PART=FOLDER[:AT]")
    args = parser.parse_args()
    try:
        publish(args.model, args.name, args.out, args.take, args.share)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")


def publish(source: Path, name: str, root: Path, takes: list[str], shares: list[str]) -> None:
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"{name}: a name has letters, digits and _ alone")
    run, folder = source.absolute().parents[1], root / name
    roots = known_roots() | {str(run.parents[2]): "runs"}
    weights = checkpoint.read_weights(source)
    weights |= dict(taken(take, weights) for take in takes)
    state = {k: half(x) for k, x in weights.items()}
    about = cleaned(checkpoint.read_config(source), roots)
    about[checkpoint.PARTS], own = shared(state, root, shares)
    before = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
    log = read_log(run / LOG)
    given = read_yaml(run / ".hydra/overrides.yaml")
    overrides = [portable(x, roots) for x in given if config.key_of(x) != "resume"]
    command = command_line("python -m posediff.train", overrides, roots)
    facts = facts_of(source, run, log, overrides)
    if takes:
        facts["taken from other models"] = ", ".join(f"`{portable(x, roots)}`" for x in takes)
    with replacing_folder(folder) as beside:
        checkpoint.save(beside, own, about)
        text = "".join(json.dumps(line) + "\n" for line in log.figures.values())
        (beside / LOG).write_text(text, encoding="utf-8")
        facts["size"] = size(own, state)
        text = card(name, about["task"], facts, command, before)
        (beside / CARD).write_text(text, encoding="utf-8")
        verify(checkpoint.load(beside).state_dict(), state)
    print(f"{folder}: {len(own)} of {len(state)} entries, {facts['size']}")
    print(f"{root}: {sum(p.stat().st_size for p in root.rglob('*') if p.is_file()) / 1e6:.2f} MB")
    if missing := unwritten(text):
        print(f"{folder / CARD}: still to be written: {', '.join(missing)}")


def half(x: Tensor) -> Tensor:
    """The entry in float16; as it is if it is no float, or too large for that."""
    small = x.half() if x.is_floating_point() else x
    return small if small.isfinite().all() else x


def taken(take: str, weights: Mapping[str, Tensor]) -> tuple[str, Tensor]:
    """An entry of another model by its name. Raises ValueError if both do not have it alike."""
    name, _, folder = take.partition("=")
    if not folder:
        raise ValueError(f"--take {take}: ENTRY=MODEL_FOLDER")
    x = checkpoint.read_weights(Path(folder)).get(name)
    if x is None or name not in weights or x.shape != weights[name].shape:
        raise ValueError(f"--take {take}: both models must have {name}, of one shape")
    return name, x


def size(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    mine, every = (sum(x.nbytes for x in some.values()) / 1e6 for some in (own, state))
    rest = f", and {every - mine:.2f} MB in shared files" if every > mine else ""
    return f"{mine:.2f} MB{rest}, float16"


def shared(
    state: Mapping[str, Tensor], root: Path, shares: list[str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The shared parts of a model as config.json has them, and the entries that remain its own.

    Raises ValueError if a part has no entry in common with its file.
    """
    parts, own = dict[str, Any](), dict(state)
    for share in shares:
        part, _, place = share.partition("=")
        beside, _, at = place.partition(":")
        file = root / beside / checkpoint.WEIGHTS
        if not beside or not file.is_file():
            raise FileNotFoundError(f"--share {share}: there is no {file}; PART=FOLDER[:AT]")
        inside, common = f"{at}." if at else "", 0
        for key, x in checkpoint.read_tensors(file).items():
            name = f"{part}.{key.removeprefix(inside)}"
            if key.startswith(inside) and name in own and torch.equal(own[name], x):
                del own[name]
                common += 1
        if not common:
            raise ValueError(f"--share {share}: {part} has no entry that is equal to one of {file}")
        print(f"{part}: {common} entries are those of {file}")
        path = f"../{beside}/{checkpoint.WEIGHTS}"
        parts[part] = {"file": path, "at": at, "sha256": checkpoint.digest(file)}
    return parts, own


def verify(loaded: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless a loaded model has these entries."""
    for name, x in state.items():
        if not torch.equal(loaded[name], x.to(loaded[name].dtype)):
            raise ValueError(f"{name} is not what was written: nothing was published")


def cleaned(about: dict[str, Any], roots: Mapping[str, str]) -> dict[str, Any]:
    """A config.json without the folders that the training started from. Raises ValueError if it
    still has a path of this machine."""
    kept = [x for x in about["overrides"] if config.key_of(x) not in STARTS]
    text = json.dumps(about | {"overrides": kept})
    clean: dict[str, Any] = json.loads(portable(text, roots))
    return clean


class Log(NamedTuple):
    """Lines of log.jsonl about every epoch; of an epoch that was trained twice, the last."""

    figures: dict[int, dict[str, Any]]
    steps: dict[int, int]  # optimiser steps until its end


def read_log(path: Path) -> Log:
    """Raises FileNotFoundError if there is no log, ValueError if it has no epoch."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; publish checkpoints/best of a run")
    log, done = Log({}, {}), 0
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if "epoch" in line:
            log.figures[line["epoch"]], log.steps[line["epoch"]] = line, done
        else:
            done = line["step"] + 1
    if not log.figures:
        raise ValueError(f"{path}: no epoch in it")
    return log


def read_yaml(path: Path) -> Any:
    """A file of .hydra, whose interpolations are resolved when they are read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; publish checkpoints/best of a run")
    return OmegaConf.load(path)


def facts_of(source: Path, run: Path, log: Log, overrides: list[str]) -> dict[str, str]:
    """Facts of a training from its files, by name; empty if they are not there."""
    about, cfg = checkpoint.read_config(source), read_yaml(run / ".hydra/config.yaml")
    state, recipe = training_state.read_trainer(run / training_state.LAST), cfg.trainer.recipe
    best, last, monitor = state["best"], state["epoch"], cfg.eval.monitor
    data = {k: x for k, x in about["dataset"].items() if k != "name" and x is not None}
    seen = [f"{recipe.batch_size * log.steps[epoch]:,}" for epoch in (best["epoch"], last)]
    seconds = sum(line["seconds"] for line in log.figures.values())
    count = sum(x.numel() for x in checkpoint.load(source).parameters())
    starts = [f"`{x}`" for x in overrides if config.key_of(x) in STARTS]
    versions = about.get("versions", {})
    return {
        "model": f"{about['task']}, {about['method']}, joints of {about['skeleton']}",
        "parameters": f"{count:,}",
        "data": f"{about['dataset']['name']}, `{portable(json.dumps(data), {})}`",
        "begins with": ", ".join(starts) or found(about, cfg.task.trains_first),
        "samples seen": f"{seen[0]} until the epoch that is kept, {seen[1]} in all",
        "epochs": f"{best['epoch']} of {last}: {monitor} {best[monitor]:.4g} on held-out data",
        "optimisation": f"batches of {recipe.batch_size}, rate {cfg.trainer.optimizer.lr:g}, "
        f"{recipe.precision}, mean of weights {recipe.ema:g}",
        "seed": str(cfg.seed),
        "time": f"{seconds / 3600:.2f} hours, with validation",
        "recalibration": scaling(about.get(recalibration.KEY)),
        "versions": ", ".join(f"{k} {versions[k]}" for k in ("posediff", "torch") if k in versions),
    }


def found(about: Mapping[str, Any], trains_first: str | None) -> str:
    """Beginning of a training whose overrides name no weights: its encoder is that of its preset,
    or was found among the runs."""
    if "encoder" in about["model"]["head"]:
        return f"the newest model of `{trains_first}`"
    return ", ".join(f"`{name}`" for name in about.get("encoders", [])) or "fresh weights"


def scaling(fitted: Mapping[str, Any] | None) -> str:
    if fitted is None:
        return "none"
    return (
        f"{announce.spread_change(fitted['factors'])}, found at "
        f"{fitted['steps']} steps on {fitted['samples']} samples of {fitted['split']}"
    )


if __name__ == "__main__":
    main()

"""Model folders: model.safetensors with the weights, config.json with all that builds the network.

    <run>/checkpoints/best/    model.safetensors  config.json
    <run>/checkpoints/last/    the same, and trainer.pt: what a stopped training goes on from

A folder is written beside and renamed, so it is complete or absent. Nothing is unpickled, and a
config.json may only name classes of posediff (`tree.build_known`).
"""

import json
import pickle
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posediff.diffusion import Model
from posediff.files import write_json
from posediff.tree import build_known

WEIGHTS = "model.safetensors"
FORMAT = {"format": "posediff-model", "version": 2}


def save(
    folder: Path | str,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    trainer: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder. `config` needs `task`, `skeleton` and `model`, a tree of `_target_`."""
    folder = Path(folder)
    beside, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    for stale in (beside, old):
        shutil.rmtree(stale, ignore_errors=True)
    beside.mkdir(parents=True)
    save_file({k: x.detach().cpu().contiguous() for k, x in state.items()}, beside / WEIGHTS)
    (beside / "config.json").write_text(json.dumps(FORMAT | dict(config), indent=1) + "\n")
    if trainer is not None:
        torch.save(trainer, beside / "trainer.pt")
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def existing(folder: Path | str) -> Path:
    """The folder, or its predecessor if the exchange of the two was interrupted."""
    folder = Path(folder)
    old = folder.with_name(folder.name + ".old")
    return old if old.is_dir() and not folder.is_dir() else folder


def read_config(folder: Path | str) -> dict[str, Any]:
    path = existing(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a model folder holds it and {WEIGHTS}")
    try:
        config = json.loads(path.read_text())
    except ValueError as e:
        raise ValueError(f"{path}: not valid JSON ({e}); write the model folder again") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT["format"]:
        raise ValueError(f"{path}: not the config of a posediff model")
    if config.get("version") != FORMAT["version"]:
        raise ValueError(
            f"{path}: version {config.get('version')}, this posediff reads {FORMAT['version']}"
        )
    return config


def write_config(folder: Path | str, config: Mapping[str, Any]) -> None:
    """Replace the config.json of a model folder; its weights stay."""
    write_json(existing(folder) / "config.json", dict(config), indent=1)


def read_weights(folder: Path | str) -> dict[str, Tensor]:
    path = existing(folder) / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a model folder holds it and config.json")
    try:
        return load_file(path)
    except SafetensorError as e:
        raise ValueError(f"{path}: damaged or no safetensors file ({e})") from None


def read_trainer(folder: Path | str) -> dict[str, Any]:
    path = existing(folder) / "trainer.pt"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, so there is no training to go on with")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as e:
        why = str(e).partition("\n")[0]
        raise ValueError(
            f"{path}: damaged, or holds more than tensors and numbers ({why})"
        ) from None
    return state


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: Path | str) -> None:
    """Load weights strictly.

    Raises ValueError for the first entry that is missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    for name in [*wanted, *weights]:
        if name not in weights:
            raise ValueError(f"{source}: the weights have no entry {name}")
        if name not in wanted:
            raise ValueError(f"{source}: the weights have an entry {name} that the model lacks")
        if weights[name].shape != wanted[name].shape:
            shapes = f"{tuple(weights[name].shape)}, the model has {tuple(wanted[name].shape)}"
            raise ValueError(f"{source}: the entry {name} has shape {shapes}")
    module.load_state_dict(dict(weights))


def load(folder: Path | str, classes: Mapping[str, Any] | None = None) -> Model:
    """The model of a folder, in evaluation mode, on the CPU.

    Its sampler, K and aggregation rule are those of its training; a call may set others.
    `classes` maps further dotted names, of your own heads, to the classes themselves.

    Raises:
        FileNotFoundError: no such folder, or one of its two files is missing.
        ValueError: damaged files, a class that is not known, weights that do not fit.
    """
    config = read_config(folder)
    model: Model = build_known(config["model"], f"{folder}/config.json", classes)
    load_weights(model, read_weights(folder), Path(folder) / WEIGHTS)
    model.trained_on = config["dataset"]
    return model.eval()


def insert_encoders(tree: dict[str, Any], at: str = "") -> Iterator[tuple[str, Path]]:
    """Replace every model folder that `encoder:` names by the tree of its network, in place.

    Yields the path of the part in the model, and the folder with its weights.
    """
    for key, node in tree.items():
        here = f"{at}.{key}".lstrip(".")
        if key == "encoder" and isinstance(node, str):
            tree[key] = read_config(node)["model"]["head"]
            yield here, Path(node)
        elif isinstance(node, dict):
            yield from insert_encoders(node, here)


def load_part(model: nn.Module, at: str, folder: Path, source: str = "head") -> None:
    """Give the part of `model` at `at` the weights that the model in `folder` has at `source`."""
    every, prefix = read_weights(folder), f"{source}."
    weights = {k.removeprefix(prefix): x for k, x in every.items() if k.startswith(prefix)}
    load_weights(model.get_submodule(at), weights, folder / WEIGHTS)


def newest(
    runs: Path | str, task: str, dataset: str, method: str, kind: Mapping[str, Any]
) -> Path | None:
    """The newest best model among the run folders, or None. `kind` are options of the data that it
    was trained on, such as `keypoints`; a model without `window` is one of single frames.
    """
    wanted = {"name": dataset, "window": 1, **kind}
    best = sorted(
        Path(runs).glob(f"{task}/{dataset}/*/checkpoints/best/config.json"),
        key=lambda path: path.stat().st_mtime,
    )
    for folder in (path.parent for path in reversed(best)):
        config = read_config(folder)
        trained_on = {"window": 1, **config["dataset"]}
        if config["method"] == method and wanted.items() <= trained_on.items():
            return folder
    return None

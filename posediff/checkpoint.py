"""Model folders: model.safetensors with the weights, config.json with all that builds the network.

    <run>/checkpoints/best/    model.safetensors  config.json
    <run>/checkpoints/last/    the same, and more, see training_state.py

A folder is written beside and renamed, so it is complete or absent. Nothing is unpickled, and a
config.json may only name classes of posediff (`tree.build_known`), and has the SHA-256 of the
weights. They may be stored as float16; a model has them in its own type, float32.

Entries that model.safetensors lacks may be in a file of a folder beside it, which several models
share. config.json then says so:

    "parts": {"head.coarse.backbone": {"file": "../movenet/model.safetensors", "at": "",
                                       "sha256": "..."}}

where `at` is the path of the part in that file, "" if it is the whole file. The model's own entries
come first, and entries of the file that the model does not have are ignored.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posediff import run_folder, shipped
from posediff.diffusion import Model
from posediff.doors import model_door
from posediff.doors.checks import mapping, reading, shown
from posediff.doors.json_door import read_json
from posediff.files import kept_beside, replacing_folder, write_json
from posediff.tree import build_known, imported, require_known

WEIGHTS, CONFIG = "model.safetensors", "config.json"
PARTS, DIGEST = "parts", "sha256"  # of config.json
RECALIBRATION = "recalibration"
FORMAT = {"format": "posediff-model", "version": 2}


def save(folder: Path | str, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write a model folder. `config` needs `task`, `skeleton` and `model`, a tree of `_target_`."""
    with replacing_folder(Path(folder)) as beside:
        fill(beside, state, config)


def fill(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write the two files of a model into a folder. Raises OSError if there is no room for them."""
    try:
        save_file({k: x.detach().cpu().contiguous() for k, x in state.items()}, folder / WEIGHTS)
    except SafetensorError as error:
        raise OSError(f"{folder / WEIGHTS}: cannot be written ({error})") from None
    about = FORMAT | dict(config) | {DIGEST: digest(folder / WEIGHTS)}
    (folder / CONFIG).write_text(json.dumps(about, indent=1) + "\n")


def existing(folder: Path | str) -> Path:
    """The folder, or its predecessor if the exchange of the two was interrupted."""
    folder = Path(folder)
    old = kept_beside(folder)
    return old if old.is_dir() and not folder.is_dir() else folder


def read_config(folder: Path | str, *needed: str) -> dict[str, Any]:
    """The config.json of a folder, whose entries are checked; `needed` are those that it must have.

    Raises FileNotFoundError or ValueError.
    """
    path = existing(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; a model folder holds it and {WEIGHTS}: name one, or the folder "
            "of a training"
        )
    config = read_json(path, remedy="write the model folder again")
    if not isinstance(config, dict) or config.get("format") != FORMAT["format"]:
        raise ValueError(f"{path}: not the config of a posediff model")
    if config.get("version") != FORMAT["version"]:
        raise ValueError(
            f"{path}: version {shown(config.get('version'))}, this posediff reads "
            f"{FORMAT['version']}"
        )
    model_door.check(config, str(path), *needed)
    return config


def about(folder: Path | str) -> dict[str, Any]:
    """Entries of config.json about a model, without its network, and `folder`, where it is. The
    date of one that has none is the day of the file."""
    config = read_config(folder, "dataset")
    written = (existing(folder) / CONFIG).stat().st_mtime
    day = datetime.fromtimestamp(written).date().isoformat()
    entries = {key: x for key, x in config.items() if key not in ("model", DIGEST)}
    return entries | {"folder": str(folder), "date": str(config.get("date") or day)}


def write_config(folder: Path | str, config: Mapping[str, Any]) -> None:
    """Replace the config.json of a model folder; its weights stay."""
    write_json(existing(folder) / "config.json", dict(config), indent=1)


def read_weights(folder: Path | str) -> dict[str, Tensor]:
    """The entries of the folder's own file. Raises ValueError if its digest is not the one that
    config.json has of it."""
    path = existing(folder) / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a model folder holds it and config.json")
    if read_config(folder).get(DIGEST) not in (None, digest(path)):
        raise ValueError(f"{path}: damaged, its SHA-256 is not that of {CONFIG}")
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The entries of a safetensors file. Raises ValueError if it is damaged, and OSError if the
    system does not read it: it may be whole."""
    try:
        return load_file(path)
    except OSError as e:
        raise OSError(f"{path}: cannot be read ({e})") from None
    except (SafetensorError, KeyError, RuntimeError) as e:
        raise ValueError(f"{path}: damaged or no safetensors file ({e})") from None


def shared_weights(folder: Path | str, names: Collection[str]) -> dict[str, Tensor]:
    """The entries among `names` that the files of the model's shared parts have.

    Raises FileNotFoundError if a file is missing, ValueError if it is not the file that the model
    was made with, or is outside the folder that contains the model's.
    """
    found, parts = dict[str, Tensor](), read_config(folder).get(PARTS, {})
    if not isinstance(parts, dict):
        raise ValueError(
            f"{folder}/config.json: {PARTS} must be an object; publish the model again"
        )
    for part, place in parts.items():
        path = shared_file(existing(folder), part, place)
        inside = f"{place['at']}." if place["at"] else ""
        for name, x in read_tensors(path).items():
            if name.startswith(inside):
                found[f"{part}.{name.removeprefix(inside)}"] = x
    return {name: x for name, x in found.items() if name in names}


def shared_file(folder: Path, part: str, place: Any) -> Path:
    """The file of a shared part, once its digest has been compared. Raises as `shared_weights`."""
    where = f"{folder}/config.json: {PARTS}: {part}"
    keys = ("at", "file", "sha256")
    if not isinstance(place, dict) or not all(isinstance(place.get(key), str) for key in keys):
        raise ValueError(f"{where}: must have the texts {', '.join(keys)}; publish the model again")
    path: Path = (folder / place["file"]).resolve()
    around = folder.resolve().parent
    if not path.is_relative_to(around):
        raise ValueError(
            f"{where}: {place['file']} is outside {around}, where shared files must be"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, and {where} needs it: copy it there")
    if digest(path) != place["sha256"]:
        raise ValueError(f"{path}: not the file that {where} was made with: its SHA-256 is another")
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    refuse_not_finite(weights, source)
    module.load_state_dict(dict(weights))


def refuse_not_finite(weights: Mapping[str, Tensor], source: Path | str) -> None:
    """Raise ValueError for the first entry with a number that is not finite."""
    for name, x in weights.items():
        if x.is_floating_point() and not bool(x.isfinite().all()):
            raise ValueError(
                f"{source}: the entry {name} has numbers that are not finite: the training "
                "diverged, or the file is damaged"
            )


def load(folder: Path | str, classes: Mapping[str, Any] | None = None) -> Model:
    """The model of a folder, or of the name of a model that ships (posediff/shipped.py), in
    evaluation mode, on the CPU.

    Its sampler, K and aggregation rule are those of its training; a call may set others.
    `classes` maps further dotted names, of your own heads, to the classes themselves. "people" is
    the network that posediff/inference/person_boxes.py reads boxes from, not a `Model`.

    Raises:
        FileNotFoundError: no such folder, or one of its two files is missing.
        ValueError: damaged files, a class that is not known, weights that do not fit.
    """
    folder = shipped.find(folder)
    config, source = read_config(folder, "model", "dataset"), f"{folder}/config.json"
    with reading(source, "its model cannot be built"), budget(folder, config, source):
        model: Model = build_known(config["model"], source, classes)
    load_from(model, folder)
    model.trained_on, model.about = config["dataset"], about(folder)
    model.recalibration = config.get(RECALIBRATION, {}).get("factors")
    return model.eval()


def budget(folder: Path, config: Mapping[str, Any], source: str) -> model_door.Budget:
    """The bound of what a model may take while it is built, by its weight files."""
    path = existing(folder) / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; a model folder holds it and config.json")
    parts = config.get(PARTS) or {}
    shared = [
        shared_file(existing(folder), part, place)
        for part, place in (parts.items() if isinstance(parts, dict) else ())
    ]
    count = 0
    for file in (path, *shared):
        try:
            with safe_open(file, "pt") as opened:
                count += len(opened.keys())
        except OSError as e:
            raise OSError(f"{file}: cannot be read ({e})") from None
        except SafetensorError as e:
            raise ValueError(f"{file}: damaged or no safetensors file ({e})") from None
    return model_door.Budget(source, [path, *shared], count)


def encoders(tree: Mapping[str, Any], at: str = "") -> dict[str, Path]:
    """The folders of the models that `encoder:` names in a tree, by the path of the part."""
    found = dict[str, Path]()
    for key, node in tree.items():
        here = f"{at}.{key}".lstrip(".")
        if key == "encoder" and isinstance(node, str):
            found[here] = shipped.find(node)
        elif isinstance(node, dict):
            found |= encoders(node, here)
    return found


def insert_encoders(tree: dict[str, Any], classes: Collection[str] = ()) -> dict[str, Path]:
    """Replace the `encoders` of a tree by the trees of their networks, in place; returns them.

    Raises ValueError if one names a class that is neither known nor among `classes`, or is larger
    than its weights.
    """
    found = encoders(tree)
    for at, folder in found.items():
        *above, key = at.split(".")
        config, source = read_config(folder, "model"), f"{folder}/config.json"
        network = mapping(f"{source}: model.head", config["model"].get("head"))
        require_known(network, source, classes)
        own = {name: imported(name) for name in classes}
        bounds = budget(folder, config, source)
        with torch.random.fork_rng([]), reading(source, "its model cannot be built"), bounds:
            build_known(network, source, own)  # within the bounds, before it is built in `tree`
        reduce(getitem, above, tree)[key] = network
    return found


def load_part(model: nn.Module, at: str, folder: Path, source: str = "head") -> None:
    """Give the part of `model` at `at` the weights that the model in `folder` has at `source`."""
    load_from(model.get_submodule(at), folder, source)


def load_from(module: nn.Module, folder: Path, source: str = "") -> None:
    """Give a module the weights that the model in `folder` has at `source`, "" for all of them.

    Raises as `load_weights` and `shared_weights`.
    """
    prefix, own = f"{source}." if source else "", read_weights(folder)
    wanted = {prefix + name for name in module.state_dict()}
    every = own | shared_weights(folder, wanted - own.keys())
    weights = {k.removeprefix(prefix): x for k, x in every.items() if k.startswith(prefix)}
    load_weights(module, weights, folder / WEIGHTS)


def newest(
    runs: Path | str,
    task: str,
    dataset: str,
    method: str,
    kind: Mapping[str, Any],
    debug: bool = False,
) -> Path | None:
    """The newest best model among the run folders, or None. `kind` are options of the data that it
    was trained on, such as `keypoints`; a model without `window` is one of single frames. Runs of
    debug presets are left out unless `debug`.
    """
    wanted = {"name": dataset, "window": 1, **kind}
    runs_of = Path(runs).glob(f"{task}/{dataset}/*")
    # not config.json, to which a recalibration writes
    weights = {run / run_folder.BEST: existing(run / run_folder.BEST) / WEIGHTS for run in runs_of}
    written = {best: x.stat().st_mtime for best, x in weights.items() if x.is_file()}
    for folder in sorted(written, key=lambda best: written[best], reverse=True):
        if not debug and run_folder.is_debug(run_folder.overrides(folder.parents[1])):
            continue
        config = read_config(folder, "method", "dataset")
        trained_on = {"window": 1, **config["dataset"]}
        if config["method"] == method and wanted.items() <= trained_on.items():
            return folder
    return None

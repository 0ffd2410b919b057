"""The config.json of a model folder, checked wholly before anything is built from it.

It is data. Its model is a tree of plain values and `_target_` names, which posediff/tree.py builds
from known classes only; its overrides are options of the method with plain values (config.py parses
them); its data set is a description. What a tree asks for is compared with the weights that are
there while it is built.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from posediff.diffusion.aggregate import LEVELS
from posediff.doors.checks import integer, listing, mapping, number, shown, text
from posediff.doors.limits import CURRENT, SMALL, refuse_above

NAME = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)*")
NODE = {"_target_", "_partial_"}
TEXTS = ("task", "method", "skeleton", "date")
DATA_TEXTS = ("name", "keypoints", "annotation", "views", "codec")
PARTS = ("head", "process", "sampler", "aggregate")  # of a model, each a node
LEAST = {"hypotheses": 1, "steps": 1, "start": 0, "end": 0}  # values of its options and sampler's
FLAGS = ("every_step", "opposite", "squared")
SAMPLER = 1000  # letters of the description of a sampler
TENSORS = 64  # that may be made while building, for each entry of the weight file
FACTORIES = {
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye),
    *(torch.arange, torch.linspace, torch.tensor, torch.from_numpy, torch.as_tensor),
}


def check(config: Mapping[str, Any], where: str, *needed: str) -> None:
    """Raise ValueError for an entry that is missing or of another form, with its place."""
    for key in needed:
        if key not in config:
            raise ValueError(f"{where}: no {key} in it: write the model folder again")
    for key in TEXTS:
        if config.get(key) is not None:
            text(f"{where}: {key}", config[key])
    for n, override in enumerate(listing(f"{where}: overrides", config.get("overrides", []))):
        text(f"{where}: overrides[{n}]", override)
    for n, name in enumerate(listing(f"{where}: encoders", config.get("encoders", []))):
        text(f"{where}: encoders[{n}]", name)
    if "model" in config:
        check_tree(config["model"], f"{where}: model")
        check_model(mapping(f"{where}: model", config["model"]), f"{where}: model")
    if "dataset" in config:
        check_data(mapping(f"{where}: dataset", config["dataset"]), f"{where}: dataset")
    check_found(config, where)


def check_model(model: Mapping[str, Any], where: str) -> None:
    """Raise ValueError for a root or a part of it that is no node, and for options of another
    kind."""
    parts = {key: model[key] for key in PARTS if key in model}
    for place, node in ((where, model), *((f"{where}.{key}", x) for key, x in parts.items())):
        if "_target_" not in mapping(place, node):
            raise ValueError(f"{place}: no _target_ in it: write the model folder again")
    for place, node in ((where, model), (f"{where}.sampler", model.get("sampler") or {})):
        for key, least in LEAST.items():
            if node.get(key) is not None or (key in node and least):
                integer(f"{place}.{key}", node[key], least, int(CURRENT.setting))
        for key in FLAGS:
            if not isinstance(node.get(key, False), bool):
                raise ValueError(f"{place}.{key} must be true or false, not {shown(node[key])}")


def check_tree(node: Any, where: str, allowed: Collection[str] = NODE) -> None:
    """Raise ValueError for a node that is no plain value, or a number that is none of a model.

    allowed: the keys that may begin with _."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key.startswith("_") and key not in allowed:
                raise ValueError(f"{where}: unknown key {shown(key)}")
            check_tree(value, f"{where}.{key}", allowed)
        if "_target_" in node and not NAME.fullmatch(text(f"{where}._target_", node["_target_"])):
            raise ValueError(f"{where}._target_: {shown(node['_target_'])} is no name of a class")
        if not isinstance(node.get("_partial_", False), bool):
            raise ValueError(f"{where}._partial_ must be true or false")
    elif isinstance(node, list):
        for n, value in enumerate(node):
            check_tree(value, f"{where}[{n}]", allowed)
    elif isinstance(node, int) and not isinstance(node, bool):
        refuse_above("setting", where, abs(node), "its value")
    elif isinstance(node, float):
        refuse_above("setting", where, abs(number(where, node)), "its value")


def check_data(data: Mapping[str, Any], where: str) -> None:
    """The same of the description of the data that a model was trained on."""
    for key in DATA_TEXTS:
        if data.get(key) is not None:
            text(f"{where}.{key}", data[key])
    if "window" in data:
        integer(f"{where}.window", data["window"], 1, int(CURRENT.setting))
    for key, count in (("size", 2), ("mean", 3), ("std", 3), ("offsets", None)):
        values = listing(f"{where}.{key}", data[key]) if data.get(key) is not None else []
        if key in data and count not in (None, len(values)):
            raise ValueError(f"{where}.{key} must be {count} numbers, not {shown(data[key])}")
        for n, value in enumerate(values):
            one = integer if key in ("size", "offsets") else number
            one(f"{where}.{key}[{n}]", value)
            refuse_above("setting", f"{where}.{key}[{n}]", abs(value), "its value")
    check_tree({k: x for k, x in data.items() if k != "noise"}, where, allowed=())
    noise = mapping(f"{where}.noise", data.get("noise") or {})
    noise.pop("_target_", None)  # it is not used
    check_tree(noise, f"{where}.noise", allowed=())


def check_found(config: Mapping[str, Any], where: str) -> None:
    """The same of what an evaluation found: where inference begins and ends, and the spread."""
    if (found := config.get("match_start")) is not None:
        at = f"{where}: match_start"
        found = mapping(at, found)
        for place, node in ((at, found), (f"{at}.instead_of", found.get("instead_of"))):
            for key in ("start", "end"):
                value = mapping(place, node).get(key)
                if value is not None:
                    integer(f"{place}.{key}", value, 0, int(CURRENT.setting))
        integer(f"{at}.steps", found.get("steps"), 1, int(CURRENT.setting))
    if (found := config.get("recalibration")) is not None:
        at = f"{where}: recalibration"
        factors = mapping(at, found).get("factors")
        if not isinstance(factors, list) or len(factors) != len(LEVELS):
            raise ValueError(
                f"{at}.factors must be {len(LEVELS)} numbers, not {shown(factors)}: delete the "
                "entry recalibration, and eval.recalibrate=512 finds it again"
            )
        for n, factor in enumerate(factors):
            number(f"{at}.factors[{n}]", factor, 1e-6)
        sampler = mapping(at, found).get("sampler", "")  # folders of before have none
        if not isinstance(sampler, str) or len(sampler) > SAMPLER:
            raise ValueError(f"{at}.sampler must be a short text, not {shown(sampler)}")


class Budget(TorchFunctionMode):
    """While a model is built: raises ValueError once it takes more than its weights can fill."""

    def __init__(self, where: str, files: list[Path], count: int) -> None:
        super().__init__()
        size = sum(path.stat().st_size for path in files)
        self.where, self.numbers, self.tensors = where, 0, 0
        self.most = CURRENT.weights * size / 4 + SMALL / 4
        self.most_tensors = TENSORS * (count + 100)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in FACTORIES and isinstance(made, torch.Tensor):
            self.numbers += made.numel()
            self.tensors += 1
            if self.numbers > self.most or self.tensors > self.most_tensors:
                raise ValueError(
                    f"{self.where}: its model is far larger than its weights, by "
                    f"limits.weights={CURRENT.weights:g}: the two do not belong together"
                )
        return made

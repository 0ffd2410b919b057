"""A tree of `_target_` nodes -> the object that it names, with all parts built first.

    {_target_: package.module.name, key: value, ...}      name(key=value, ...)
    {_target_: ..., _partial_: true, key: value, ...}     the same, to be called later

Lists, plain values and built objects stay as they are. A configuration that its user wrote may name
anything that can be imported. A tree from a file, such as the config.json of a model folder, may
only name the classes of posediff.tasks, the names of `KNOWN`, and those that the caller passes.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

KNOWN = {
    "posediff.diffusion.DDIMSampler",
    "posediff.diffusion.DiffusionModel",
    "posediff.diffusion.FlowSampler",
    "posediff.diffusion.Process",
    "posediff.diffusion.Regression",
    "posediff.diffusion.RepeatSampler",
    "posediff.diffusion.aggregate.mean",
    "posediff.diffusion.aggregate.median",
    "posediff.diffusion.schedule.cosine",
    "posediff.diffusion.schedule.linear",
    "posediff.nn.efficientnet.EfficientNetLite0",
    "posediff.nn.hrnet.HRNet",
    "posediff.nn.movenet.MultiPose",
    "posediff.nn.movenet.Thunder",
    "posediff.nn.small.Small",
    "posediff.nn.vit.ViT",
    "posediff.pose.combined.codec",
    "posediff.pose.reprojection.jpma",
    "posediff.pose.reprojection.rpea",
    "posediff.pose.rules.coord_mean",
    "posediff.pose.rules.max_score",
    "posediff.pose.rules.medoid",
    "posediff.pose.rules.mode",
}
HEADS = r"posediff\.tasks\.\w+\.[A-Z]\w+"  # the classes that a task exports


def build(tree: Any, **more: Any) -> Any:
    """The object of a tree that the user wrote; `more` are further keys of its root.

    Raises ValueError for a name that cannot be imported, and for keys that do not fit.
    """
    return _built({**tree, **more} if more else tree, imported)


def build_known(
    tree: Any, source: str, classes: Mapping[str, Any] | None = None, **more: Any
) -> Any:
    """The object of a tree from a file, which is `source` in errors. `classes` are further names;
    `more` are further keys of its root.

    Raises ValueError as `build`, and for a name that is not known.
    """
    own = classes or {}
    tree = {**tree, **more} if more else tree
    require_known(tree, source, own)
    return _built(tree, lambda name: own[name] if name in own else imported(name))


def require_known(tree: Any, source: str, classes: Iterable[str] = ()) -> None:
    """Raise ValueError for a name in a tree from a file, `source`, that is not known, nor among
    `classes`."""
    if isinstance(tree, Mapping):
        name = tree.get("_target_")
        known = isinstance(name, str) and (name in KNOWN or re.fullmatch(HEADS, name))
        if name is not None and name not in classes and not known:
            raise ValueError(
                f"{source}: {name} is no class of posediff; pass it as classes={{...}}"
            )
        tree = list(tree.values())
    for node in tree if isinstance(tree, list) else ():
        require_known(node, source, classes)


def _built(tree: Any, find: Any) -> Any:
    if isinstance(tree, list):
        return [_built(node, find) for node in tree]
    if not isinstance(tree, Mapping):
        return tree
    parts = {k: _built(x, find) for k, x in tree.items() if k not in ("_target_", "_partial_")}
    if "_target_" not in tree:
        return parts
    name, target = tree["_target_"], find(tree["_target_"])
    return partial(target, **parts) if tree.get("_partial_") else called(name, target, parts)


def called(name: str, target: Any, parts: Mapping[str, Any], *inputs: Any) -> Any:
    """target(*inputs, **parts), whose errors begin with its name and the plain ones of its parts.

    Raises ValueError for a key that the target does not have or misses, or a value that it cannot
    use.
    """
    try:
        return target(*inputs, **parts)
    except (
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        raise ValueError(f"{name}: {_settings(parts)}: {error}") from error


def _settings(parts: Mapping[str, Any]) -> str:
    """The plain values among the parts of a node, in short."""
    plain = {k: x for k, x in parts.items() if isinstance(x, str | int | float | list | None)}
    return ", ".join(f"{k}={x}" for k, x in plain.items())[:300]


def imported(name: str) -> Any:
    """The class or function of a dotted name. Raises ValueError if there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"_target_ {name} cannot be imported: {error}") from error


def differences(
    a: Any, b: Any, at: str, free: set[str], same_version: bool = True
) -> list[tuple[str, Any, Any]]:
    """The leaves of two trees that differ, by their keys that are not `free`. A key that one does
    not have is None there; of trees of two versions of posediff, only keys of both are compared."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = {**a, **b} if same_version else [k for k in a if k in b]
        found = (
            differences(a.get(k), b.get(k), f"{at}.{k}", free, same_version)
            for k in keys
            if k not in free
        )
        return [x for some in found for x in some]
    return [] if a == b else [(at, a, b)]

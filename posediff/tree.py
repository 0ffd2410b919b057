"""A tree of `_target_` nodes -> the object that it names, with all parts built first.

    {_target_: package.module.name, key: value, ...}      name(key=value, ...)
    {_target_: ..., _partial_: true, key: value, ...}     the same, to be called later

Lists, plain values and built objects stay as they are. A configuration that its user wrote may name
anything that can be imported. A tree from a file, such as the config.json of a model folder, may
only name the classes of posediff.tasks, the names of `KNOWN`, and those that the caller passes.
"""

import re
from collections.abc import Mapping
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


def build_known(tree: Any, source: str, classes: Mapping[str, Any] | None = None) -> Any:
    """The object of a tree from a file, which is `source` in errors. `classes` are further names.

    Raises ValueError as `build`, and for a name that is not known.
    """
    own = classes or {}

    def known(name: str) -> Any:
        if name in own:
            return own[name]
        if name in KNOWN or re.fullmatch(HEADS, name):
            return imported(name)
        raise ValueError(f"{source}: {name} is no class of posediff; pass it as classes={{...}}")

    return _built(tree, known)


def _built(tree: Any, find: Any) -> Any:
    if isinstance(tree, list):
        return [_built(node, find) for node in tree]
    if not isinstance(tree, Mapping):
        return tree
    parts = {k: _built(x, find) for k, x in tree.items() if k not in ("_target_", "_partial_")}
    if "_target_" not in tree:
        return parts
    target = find(tree["_target_"])
    if tree.get("_partial_"):
        return partial(target, **parts)
    try:
        return target(**parts)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        # a key that the target does not have, or that it misses
        raise ValueError(f"{tree['_target_']}: {error}") from error


def imported(name: str) -> Any:
    """The class or function of a dotted name. Raises ValueError if there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"_target_ {name} cannot be imported: {error}") from error


def differences(a: Any, b: Any, at: str, free: set[str]) -> list[tuple[str, Any, Any]]:
    """The leaves of two trees that differ, by their keys: those that both have and that are not
    `free`."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = [k for k in a if k in b and k not in free]
        found = (differences(a[k], b[k], f"{at}.{k}", free) for k in keys)
        return [x for some in found for x in some]
    return [] if a == b else [(at, a, b)]

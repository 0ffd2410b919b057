"""Configurations: composed from conf/ by Hydra, and built.

Importers use `build` and do not load Hydra: the functions that need it import it.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint, run_folder, shipped, tree
from posediff.command import CONF, IMPORTED, expected_errors, one_line
from posediff.diffusion import Model
from posediff.diffusion.choices import one_of
from posediff.diffusion.model import Rule

METHOD_KEYS = ("task", "preset", "experiment", "model", "schedule", "sampler", "rules", "backbone")
# the options of the data set that a model folder records
DATA_KEYS = (
    *("name", "keypoints", "annotation", "window", "noise", "views", "parts", "balance"),
    *("size", "codec", "mean", "std", "offsets"),
)
# of a data set, whatever it is joined with
OWN_KEYS = ("_target_", "name", "skeleton", "balance")
# models that differ in these are of different kinds
KIND_KEYS = ("keypoints", "annotation", "window")


def compose(primary: str, overrides: Sequence[str]) -> Any:
    """The configuration of a main (train, eval, predict), as a DictConfig."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():  # inside a main, where its folders count, too
        return hydra.compose(primary, [*search_path(), *overrides])
    with hydra.initialize_config_dir(CONF, version_base="1.3"):
        return hydra.compose(primary, list(overrides))


def build(task: str, dataset: str | None = None, overrides: Sequence[str] = ()) -> Model:
    """A model with fresh weights, by the names that the command line uses.

    Raises:
        ValueError: an override that does not exist, or a part that cannot be built.
    """
    chosen = [f"task={task}", *([f"dataset={dataset}"] if dataset else []), *overrides]
    try:
        return build_model(model_tree(compose("train", chosen)))
    except expected_errors() as e:
        raise ValueError(one_line(e)) from e


def build_model(model: dict[str, Any], own: Collection[str] = ()) -> Model:
    """The model of a tree of `_target_`, with the weights of its pretrained parts.

    In the tree their networks take the place of the folders that held them. own: names of the
    user's classes, which those folders may name.
    """
    parts = checkpoint.insert_encoders(model, own)
    made: Model = tree.build(model)
    for at, folder in parts.items():
        checkpoint.load_part(made, at, folder)
    return made


def model_tree(cfg: Any) -> dict[str, Any]:
    """cfg.model as plain data, with the newest encoder if none is named."""
    refuse_truth(cfg)
    model: dict[str, Any] = plain(cfg.model)
    head = model["head"]
    if "encoder" in head and head["encoder"] is None:
        head["encoder"] = str(find(cfg, "encoder", "task.head.encoder", cfg.task.trains_first))
    return model


def find(cfg: Any, method: str, key: str, how: str) -> Path:
    """The newest best model of a method for the task, data and 2D of a configuration.

    One of a debug preset is not taken, unless this command has such a preset, too.

    Raises ValueError if there is none, with the command `train <how>` that makes one.
    """
    task, data = cfg.task.name, cfg.dataset.name
    kind = {k: cfg.dataset[k] for k in KIND_KEYS if cfg.dataset.get(k)}
    found = checkpoint.newest(cfg.paths.runs, task, data, method, kind, debugging())
    if found is None:
        skipped = checkpoint.newest(cfg.paths.runs, task, data, method, kind, debug=True)
        but = f" but {skipped}, of a debug preset, which must be named" if skipped else ""
        kind = {k: x for k, x in kind.items() if (k, x) != ("window", 1)}
        with_kind = " and ".join(f"{k} {x}" for k, x in kind.items())
        choice = "".join(f" dataset.{k}={x}" for k, x in kind.items())
        ships = key == "checkpoint" and task in shipped.names()
        ready = f"take the one that ships by {key}={task}, " if ships else ""
        raise ValueError(
            f"no trained model ({method}) of {task} for {data}{with_kind and f' with {with_kind}'} "
            f"under {cfg.paths.runs}{but}: {ready}name its folder by {key}=, or train one first: "
            f"python -m posediff.train {how} dataset={data}{choice}"
        )
    return found


def model_config(cfg: Any, model: dict[str, Any]) -> dict[str, Any]:
    """The content of config.json of a model folder: the network, and its training data."""
    from datetime import date

    from posediff import __version__

    own = [o for o in overrides_given() if group_of(o) in METHOD_KEYS]
    return {
        "task": cfg.task.name,
        "method": cfg.task.method,
        "skeleton": cfg.dataset.skeleton,
        "dataset": {k: x for k, x in plain(cfg.dataset).items() if k in DATA_KEYS},
        "overrides": [o for o in own if key_of(o) not in IMPORTED],
        "date": date.today().isoformat(),
        "versions": {"posediff": __version__, "torch": str(torch.__version__)},
        "model": model,
    }


def overrides_given() -> list[str]:
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task)


def debugging() -> bool:
    """True if this is a command with a debug preset."""
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.initialized() and run_folder.is_debug(overrides_given())


def search_path() -> list[str]:
    """The override of this command that names further folders of configurations, if it has one."""
    from hydra.core.hydra_config import HydraConfig

    given = HydraConfig.get().overrides.hydra if HydraConfig.initialized() else []
    return [override for override in given if key_of(override) == "hydra.searchpath"]


def own_folders() -> list[str]:
    """--config-dir of this command and its folder, if it has one."""
    from hydra.core.hydra_config import HydraConfig

    sources = HydraConfig.get().runtime.config_sources
    given = [source.path for source in sources if source.provider == "command-line"]
    return [word for path in given for word in ("--config-dir", path)]


def key_of(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def group_of(override: str) -> str:
    return key_of(override).partition(".")[0]


def classes(cfg: Any) -> dict[str, Any]:
    """The user's own classes that a model folder may name, by the keys of `classes`."""
    return {name: tree.imported(name) for name in cfg.classes}


def dataset(cfg: Any, split: str) -> Any:
    """One part (train, validation, test) of the configured data set.

    Raises FileNotFoundError, with what the data set consists of, if a file is missing.
    """
    whole = dataset_tree(cfg)
    for name, part in whole.get("parts", {}).items():
        own = compose(f"dataset/{name}", []).dataset
        about = {"name": name, "root": part.get("root"), "needs": own.get("needs")}
        whole["parts"][name] = partial(_present, tree.build(part), about, cfg.paths.data_dir)
    about = {key: cfg.dataset.get(key) for key in ("name", "root", "needs")}
    return _present(partial(tree.build, whole), about, cfg.paths.data_dir, split)


def _present(make: Any, about: Mapping[str, Any], home: str, split: str) -> Any:
    """make(split=split). Raises FileNotFoundError, with what the data set about which this is
    consists of, if a file is missing; home: that of all data sets."""
    try:
        return make(split=split)
    except FileNotFoundError as error:
        if not about["needs"] or "POSEDIFF_DATA" in str(error):
            raise
        raise FileNotFoundError(
            f"{error}. dataset={about['name']} reads {about['root']}/ (dataset.root, or "
            f"POSEDIFF_DATA={home} for all data sets), which must contain {about['needs']}"
        ) from error


def dataset_tree(cfg: Any) -> dict[str, Any]:
    """cfg.dataset as plain data, with the trees of the data sets that it joins."""
    found: dict[str, Any] = plain(cfg.dataset)
    found.pop("needs", None)
    if "parts" in found:
        found["parts"] = {name: joined_part(cfg, name) for name in found["parts"]}
    return found


def joined_part(cfg: Any, name: str) -> dict[str, Any]:
    """The tree of a data set that the configured one joins with others, to be built for a split:
    its own configuration with the options of the joined one, and `dataset.options` of its name.

    Raises ValueError if there is no such data set.
    """
    from hydra.errors import MissingConfigException
    from omegaconf import OmegaConf

    try:
        own = compose(f"dataset/{name}", []).dataset
    except MissingConfigException:
        raise ValueError(f"dataset.parts: there is no data set {name!r}") from None
    joined, whole = plain(cfg.dataset), cfg.copy()
    shared = {k: x for k, x in joined.items() if k in own and k not in OWN_KEYS}
    OmegaConf.set_struct(whole, False)
    whole.dataset = OmegaConf.merge(own, shared, (joined["options"] or {}).get(name, {}))
    return {**dataset_tree(whole), "_partial_": True}


def rules(cfg: Any, model: Model) -> dict[str, Rule]:
    """The rules to score, by the names of their figures: jpma@estimated_root, p_best@oracle.

    The plain mean is always scored beside a rule that projects.
    """
    known, oracles, found = plain(cfg.rules), plain(cfg.eval.oracles), dict[str, Rule]()
    for name in cfg.eval.aggregates:
        if name in oracles:
            if model.hypotheses > 1:
                found[f"{name}@oracle"] = tree.build(oracles[name])
        elif name not in known:
            names = ", ".join([*known, *oracles])
            raise ValueError(f"eval.aggregates: no rule {name!r}, only {names}")
        elif "root" in known[name]:
            found |= {"mean": tree.build(known["mean"])} if "mean" not in found else {}
            found[f"{name}@{cfg.eval.root}_root"] = tree.build(known[name])
        else:
            found[name] = tree.build(known[name])
    return found


def loggers(cfg: Any, folder: Path) -> dict[str, Any]:
    """The loggers of a training, by the names in `trainer.loggers`: functions that begin them."""
    known = plain(cfg.trainer.logger)
    for name in cfg.trainer.loggers:
        one_of("trainer.loggers", name, known)
    return {name: partial(tree.build, known[name], folder=folder) for name in cfg.trainer.loggers}


def refuse_truth(cfg: Any) -> None:
    """Raise ValueError if the rule that makes the answer would read the truth."""
    name = cfg.task.aggregate
    rooted = "root" in cfg.rules.get(name, {})
    if name in cfg.eval.oracles or (rooted and cfg.eval.root == "oracle"):
        raise ValueError(
            f"task.aggregate={name} would read the truth, so it can be no answer: set it to mean, "
            f"and eval.aggregates=[mean,{name}] for its figures"
        )


def plain(node: Any) -> Any:
    """A part of a configuration as dictionaries and lists, its interpolations resolved."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(node, resolve=True)


def as_yaml(cfg: Any) -> str:
    """A configuration as text, its interpolations as they are written."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(cfg)


def unresolved(cfg: Any) -> dict[str, Any]:
    """A configuration as dictionaries and lists, its interpolations as they are written."""
    from omegaconf import OmegaConf

    return dict(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]


def device(name: str) -> torch.device:
    """cpu, cuda, cuda:1 ..; auto is the GPU where there is one.

    Raises ValueError for another name, and for a GPU that torch does not find.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(str(name))
    except RuntimeError:
        raise ValueError(f"device={name}: must be auto, cpu, cuda or cuda:0, cuda:1 ..") from None
    found = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= found:
        raise ValueError(
            f"device={name}: torch finds {found or 'no'} GPU{'s' * (found > 1)} on this machine; "
            "take device=cpu, or a build of torch for your GPU"
        )
    return chosen

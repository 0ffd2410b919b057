"""The door to Hydra: composing conf/, and building what a configuration says.

Importers use `build` and never see Hydra; it is imported here inside the functions that need it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint
from posediff.command import CONF, expected_errors, one_line
from posediff.diffusion import DiffusionModel, FlipTest, Model, Regression
from posediff.diffusion.aggregate import mean
from posediff.diffusion.model import Rule
from posediff.tasks.flip import BothViews
from posediff.tasks.image2d import Image2D
from posediff.tasks.image2d.structure import Disagreement

METHOD_KEYS = ("task", "preset", "experiment", "model", "schedule", "sampler", "aggregate")
# what a model folder says of the data that its model was made for
DATA_KEYS = (
    *("name", "keypoints", "scale", "window", "noise"),
    *("size", "codec", "mean", "std", "offsets"),
)
# what the network was built for; an evaluation cannot choose it
FIXED_KEYS = ("window", "size", "codec", "mean", "std", "offsets")
KIND_KEYS = ("keypoints", "scale", "window")  # models that differ in these are of different kinds


def compose(primary: str, overrides: Sequence[str]) -> Any:
    """The configuration of a main (train, eval, predict), as a DictConfig."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():  # inside a main
        return hydra.compose(primary, list(overrides))
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
    except Exception as e:
        if isinstance(e, expected_errors()):
            raise ValueError(one_line(e)) from e
        raise


def build_model(tree: dict[str, Any]) -> Model:
    """The model of a tree of `_target_`, with the weights of its pretrained parts.

    In the tree their networks take the place of the folders that held them.
    """
    from hydra.utils import instantiate

    parts = list(checkpoint.expand(tree))
    model: Model = instantiate(tree, _convert_="all")
    for at, folder in parts:
        checkpoint.load_part(model, at, folder)
    return model


def model_tree(cfg: Any) -> dict[str, Any]:
    """cfg.model as plain data, its encoder found where none is named."""
    _honest(cfg)
    tree: dict[str, Any] = plain(cfg.model)
    head = tree["head"]
    if "encoder" in head and head["encoder"] is None:
        head["encoder"] = str(find(cfg, "encoder", "task.head.encoder"))
    return tree


def find(cfg: Any, method: str, key: str) -> Path:
    """The newest best model of a method for the task, data and 2D of a configuration."""
    task, data = cfg.task.name, cfg.dataset.name
    kind = {k: cfg.dataset[k] for k in KIND_KEYS if cfg.dataset.get(k)}
    found = checkpoint.newest(cfg.paths.runs, task, data, method, kind)
    if found is None:
        alone = method in ("encoder", "coarse", "plain")
        window = kind.get("window", 1)
        method = "video_encoder" if method == "encoder" and window > 1 else method
        kind = {k: x for k, x in kind.items() if (k, x) != ("window", 1)}
        how = f"experiment={task}_{method}" if alone else f"task={task} preset={method}"
        told = " and ".join(f"{k} {x}" for k, x in kind.items())
        choice = "".join(f" dataset.{k}={x}" for k, x in kind.items())
        raise ValueError(
            f"no trained model ({method}) of {task} for {data}{told and f' with {told}'} under "
            f"{cfg.paths.runs}: name its folder by {key}=, or train one first: "
            f"python -m posediff.train {how} dataset={data}{choice}"
        )
    return found


def model_config(cfg: Any, tree: dict[str, Any]) -> dict[str, Any]:
    """What config.json of a model folder says: the network, and what it was trained for."""
    return {
        "task": cfg.task.name,
        "method": cfg.task.method,
        "skeleton": cfg.dataset.skeleton,
        "dataset": {k: x for k, x in plain(cfg.dataset).items() if k in DATA_KEYS},
        "overrides": [o for o in overrides_given() if o.split(".")[0].split("=")[0] in METHOD_KEYS],
        "model": tree,
    }


def overrides_given() -> list[str]:
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task)


def trained(cfg: Any, primary: str) -> tuple[Any, Model, Path]:
    """The checkpoint that a configuration names or means, as trained unless overridden now.

    Gives the configuration composed again with what was set at training, the model and its folder.
    """
    from hydra.utils import instantiate

    named = cfg.checkpoint
    folder = find(cfg, cfg.task.method, "checkpoint") if named is None else Path(named)
    saved = checkpoint.read_config(folder)
    if saved["task"] != cfg.task.name:
        raise ValueError(f"{folder}: a model of task {saved['task']}, not of {cfg.task.name}")
    given = overrides_given()
    keys = {o.split("=")[0] for o in given}
    cfg = compose(primary, [o for o in saved["overrides"] if o.split("=")[0] not in keys] + given)
    for key in FIXED_KEYS:
        if key in saved["dataset"]:
            made_for = saved["dataset"][key]
            if f"dataset.{key}" in keys and plain(cfg.dataset)[key] != made_for:
                raise ValueError(
                    f"dataset.{key} must stay {made_for}, for which {folder} was trained: leave "
                    "it out, or train a model for another"
                )
            cfg.dataset[key] = made_for
    _honest(cfg)
    model = checkpoint.load(folder)
    if isinstance(model.head, Image2D):
        model.head.begin(cfg.task.prior.init, cfg.task.head.masks.refresh)
        if cfg.task.method == "coarse":  # the first stage of a diffusion model
            model = Regression(model.head.coarse)
    if isinstance(model, DiffusionModel):
        dials = {k: x for k, x in plain(cfg.model).items() if k not in ("_target_", "head")}
        model = DiffusionModel(model.head, **instantiate(dials, _convert_="all"))
        if cfg.task.flip:
            apart = Disagreement(model.head.space) if isinstance(model.head, Image2D) else None
            model.head = FlipTest(model.head, apart)
    elif isinstance(model, Regression) and cfg.task.flip:
        model.head = BothViews(model.head)
    model.trained_on = saved["dataset"]
    return cfg, model.eval().to(device(cfg.device)), folder


def dataset(cfg: Any, split: str) -> Any:
    """One part (train, validation, test) of the configured data set."""
    from inspect import signature

    from hydra.utils import get_method, instantiate

    reader = plain(cfg.dataset)
    takes = signature(get_method(reader["_target_"])).parameters
    named = {k: x for k, x in reader.items() if k not in ("name", "skeleton") or k in takes}
    data = instantiate(named, split=split, _convert_="all")
    if cfg.task.get("head", {}).get("answers") == "centre":
        data.centre()
    return data


def batch_size(cfg: Any) -> int:
    """Samples in a batch of an evaluation: eval.batch_size counts the frames of windows."""
    return max(1, int(cfg.eval.batch_size) // int(cfg.dataset.get("window", 1)))


def metric(cfg: Any, data: Any, split: str) -> Any:
    """The configured metric, against the truth of `data` where it wants one."""
    from inspect import signature

    from hydra.utils import instantiate

    wanted = plain(cfg.eval.metric)
    documents = "truth" in wanted  # of whole videos; Hydra would make configurations of them
    given = wanted.pop("truth", None)
    make = instantiate(wanted, _partial_=True)
    if "truth" not in signature(make).parameters:
        return make()
    truth = given or (data.truth if documents else data.annotations.truth())
    return make(truth=truth, images="seen" if split == "validation" else "all")


def rules(cfg: Any, model: Model) -> dict[str, Rule]:
    """The rules that score, by the names of their figures: jpma@estimated_root, p_best@oracle.

    Beside a rule that projects there is always the plain mean.
    """
    from hydra.utils import instantiate

    if not isinstance(model, DiffusionModel):
        return {"mean": mean}
    oracles, found = cfg.eval.get("oracles", {}), dict[str, Rule]()
    for name in cfg.eval.aggregates:
        if name in oracles:
            if model.hypotheses > 1:
                found[f"{name}@oracle"] = instantiate(oracles[name])
        elif name not in cfg.aggregate:
            known = ", ".join([*cfg.aggregate, *oracles])
            raise ValueError(f"eval.aggregates: no rule {name!r}, only {known}")
        elif "root" in cfg.aggregate[name]:
            found |= {"mean": mean} if "mean" not in found else {}
            found[f"{name}@{cfg.eval.root}_root"] = instantiate(cfg.aggregate[name])
        else:
            found[name] = instantiate(cfg.aggregate[name])
    return found


def _honest(cfg: Any) -> None:
    """The rule that makes the answer must not read the truth."""
    name = cfg.task.aggregate
    rooted = "root" in cfg.aggregate.get(name, {})
    if name in cfg.eval.get("oracles", {}) or (rooted and cfg.eval.get("root") == "oracle"):
        raise ValueError(
            f"task.aggregate={name} would read the truth, so it can be no answer: set it to mean, "
            f"and eval.aggregates=[mean,{name}] for its figures"
        )


def plain(node: Any) -> Any:
    """A part of a configuration as dictionaries and lists, its interpolations resolved."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(node, resolve=True)


def device(name: str) -> torch.device:
    """cpu, cuda, cuda:1 ..; auto is the GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)

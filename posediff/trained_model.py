"""The trained model of a command: its folder, and the configuration that it was trained with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posediff import checkpoint, config, processes, run_folder, shipped, start, tree
from posediff.command import require_plain, run_of_command
from posediff.diffusion import Model, Regression

# what a command needs of a model folder
NEEDED = ("task", "method", "skeleton", "dataset", "overrides", "model")
# what the network was built for; an evaluation cannot choose it
FIXED_KEYS = ("window", "size", "codec", "mean", "std", "offsets")


def trained(cfg: Any, primary: str) -> tuple[Any, Model, Path]:
    """The model of a configuration, as trained unless overridden now.

    Returns the configuration composed again with what was set at training, the model in evaluation
    mode on its device, and its folder. The run folder keeps the options of the command.
    Raises ValueError for an override that the model cannot follow, and for the run folder of a
    training.
    """
    given, folder, asked = config.overrides_given(), cfg.checkpoint, cfg
    run = run_of_command()
    if run_folder.is_begun(run):
        raise ValueError(
            f"{run} holds a training: checkpoint= names its model, name= another folder for the run"
        )
    if folder is None:
        chosen = [o for o in given if config.group_of(o) in ("task", "experiment", "preset")]
        how = " ".join(chosen) or f"task={cfg.task.name}"
        folder = config.find(cfg, cfg.task.method, "checkpoint", how)
    folder = shipped.find(folder)
    saved = checkpoint.read_config(folder, *NEEDED)
    if saved["task"] != cfg.task.name:
        raise ValueError(
            f"{cfg.checkpoint or folder}: a model of task {saved['task']}, not of {cfg.task.name}; "
            f"name one of {cfg.task.name}, or give task={saved['task']}"
        )
    cfg = _as_trained(primary, saved, given, folder)
    config.refuse_truth(cfg)
    own = config.classes(cfg)
    loaded = checkpoint.load(folder, own)
    parts = loaded.head.baselines()
    if cfg.task.method in parts:
        model: Model = Regression(parts[cfg.task.method])
    else:
        refuse_other_network(cfg, saved, folder)
        source = f"{folder}/config.json, or the options given now"
        model = tree.build_known(config.plain(cfg.model), source, own, head=loaded.head)
    if cfg.task.flip:
        model.head = model.head.mirrored()
    model.trained_on, model.recalibration = saved["dataset"], loaded.recalibration
    if processes.first():
        run_folder.keep_options(run, config.as_yaml(asked), given)
    return cfg, model.eval().to(config.device(cfg.device)), folder


def _as_trained(primary: str, saved: Mapping[str, Any], given: Sequence[str], folder: Path) -> Any:
    """The configuration with the overrides of the training, those given now, and the data that the
    network was built for. Raises ValueError for an override that the network cannot follow."""
    keys = {config.key_of(o) for o in given}
    kept = [o for o in saved["overrides"] if config.key_of(o) not in keys]
    for override in kept:
        require_plain(override, config.METHOD_KEYS, f"{folder}/config.json: overrides")
    cfg = config.compose(primary, [*kept, *given])
    for key in FIXED_KEYS:
        if key in saved["dataset"]:
            made_for = saved["dataset"][key]
            if f"dataset.{key}" in keys and config.plain(cfg.dataset)[key] != made_for:
                raise ValueError(
                    f"dataset.{key} must stay {made_for}, for which {folder} was trained: leave "
                    "it out, or train a model for another"
                )
            cfg.dataset[key] = made_for
    if primary != "eval" and not keys & {"dataset", "dataset.skeleton"}:
        cfg.dataset.skeleton = saved["skeleton"]  # no data set is read
    start.use(cfg, saved, keys)
    return cfg


def refuse_other_network(cfg: Any, saved: Mapping[str, Any], folder: Path) -> None:
    """Raise ValueError if the configuration describes another network than that of the folder."""
    asked, own = config.plain(cfg.model), saved["model"]
    heads = asked["head"], own["head"]
    found = tree.differences(*heads, "model.head", {"encoder"}, same_version=False)
    if "process" in asked and "process" in own:
        targets = asked["process"]["predicts"], own["process"]["predicts"]
        found += tree.differences(*targets, "task.predicts", set())
    for key, wanted, there in found:
        raise ValueError(
            f"{folder} has {key}={there}, and {wanted} was asked for: leave out what sets it, or "
            "train another model"
        )

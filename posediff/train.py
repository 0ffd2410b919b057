"""Train a model: python -m posediff.train task=lift3d dataset=synthetic"""

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from posediff import (
    __version__,
    announce,
    checkpoint,
    config,
    engine,
    expectation,
    feature_cache,
    loading,
    loggers,
    processes,
    profiling,
    rates,
    run_folder,
    shipped,
    speed,
    training_state,
    tree,
)
from posediff.command import command, run_of_command
from posediff.diffusion import Model
from posediff.interruption import Stop, Stopped
from posediff.nn import weights
from posediff.training_state import TrainingState
from posediff.truth import Truth
from posediff.verbatim import quote
from posediff.visual import held_out as held_out_sheet
from posediff.visual.pose3d import write_picture

CALIBRATED = "calibrated"  # in the config.json of the best model, once it is
# of the settings of a training: what may differ when it is resumed, as it changes no result
FREE = {"root", "workers", "pictures_mb", "folder", "save_every", "shard"} | {
    *("machine", "threads", "compile", "recompute", "drawn", "loggers", "logger", "profile")
}
# and what may differ and changes the rest of the training
RECIPE = {"epochs", "rate", "max_norm", "ema", "precision", "self_aligned", "micro_batch"} | {
    *("channels_last", "validation_samples")
}

CHOSEN_BY = ("monitor", "better")  # of eval: how the best epoch is chosen


@command("train")
def main(cfg: Any) -> None:
    folder = run_of_command()
    if cfg.resume and "name" not in map(config.key_of, config.overrides_given()):
        raise ValueError("resume=true needs name=, the name of the run folder to go on in")
    with run_folder.locked(folder) if processes.first() else nullcontext():
        state = begun(cfg, folder) if processes.first() else None
        begins = processes.from_first(state is None)
        if not processes.first() and not begins:
            state = training_state.newest(folder)
        try:
            with Stop() as stop, stop.anywhere():
                train(cfg, folder, state)
        except Stopped as stopped:
            saved = (folder / training_state.LAST).is_dir()
            how = "the state is saved" if saved else "before its first state"
            print(f"stopped by {stopped.name}, {how}; this goes on: {resuming(cfg, folder)}")
            sys.exit(stopped.code)


def begun(cfg: Any, folder: Path) -> TrainingState | None:
    """The state that the run goes on from, None at its beginning. Raises ValueError for a folder
    that holds a run, unless it is to be resumed."""
    if cfg.resume:
        return training_state.newest(folder)
    if run_folder.is_begun(folder):
        raise ValueError(
            f"{folder} holds a run already: resume=true continues it, name= starts another"
        )
    return None


def resuming(cfg: Any, folder: Path) -> str:
    """The command that goes on with this training, alone even if it was one of a sweep."""
    given = [o for o in config.overrides_given() if config.key_of(o) not in ("name", "resume")]
    home = Path(cfg.paths.runs, cfg.task.name, cfg.dataset.name).absolute()
    if folder.is_relative_to(home):
        place = [f"name={folder.relative_to(home)}"]
    else:
        place = [f"name={cfg.name}", f"hydra.run.dir={quote(str(folder))}"]
    where = [*config.own_folders(), *config.search_path()]
    return shlex.join(["posediff", "train", *where, *given, *place, "resume=true"])


def train(cfg: Any, folder: Path, state: TrainingState | None) -> None:
    recipe_of(cfg)  # wrong values are said before data and models are made
    torch.manual_seed(cfg.seed)
    data, held_out = config.dataset(cfg, "train"), config.dataset(cfg, "validation")
    truth = held_out.truth(whole=False)
    data = some(data, cfg, "train_samples")
    held_out = some(held_out, cfg, "validation_samples")
    model_tree = config.model_tree(cfg)
    encoders, device = checkpoint.encoders(model_tree), config.device(cfg.device)
    model = config.build_model(model_tree, config.classes(cfg)).to(device)
    how = f"{announce.encoders(encoders)}{announce.device(device)}"
    used = speed.use(cfg.trainer, model, device)  # may set parts of the recipe
    recipe, settings = recipe_of(cfg), settings_of(cfg, model_tree, len(data))
    begin(cfg, folder, model, state, settings)
    introduce(cfg, model, len(data), len(held_out), f"{how}\n{used}{folder}")
    data, held_out = kept_maps(cfg, model, data, held_out)
    optimizer = optimizer_of(cfg, model)
    if cfg.trainer.profile is not None:
        print("\n".join(profiling.profile(model, data, optimizer, recipe, cfg.trainer.profile)))
        return
    about = config.model_config(cfg, model_tree) | {"encoders": announce.names(encoders)}
    size = engine.samples_of(cfg.eval.batch_size, model)
    print(expectation.training(model, data, held_out, recipe, size), flush=True)
    copies = config.loggers(cfg, folder) if processes.first() else {}
    if processes.first():
        run_folder.keep_options(folder, config.as_yaml(cfg), config.overrides_given())
    with loggers.following(folder, cfg.eval.monitor, copies) as follower:
        best = engine.fit(
            model,
            data,
            optimizer,
            recipe,
            selection_of(cfg, folder, held_out, truth, size),
            engine.Outputs(folder, state.config if state else about, settings, follower),
            state,
        )
    if processes.first():
        calibrate(cfg, folder / run_folder.BEST, held_out, size)
    processes.from_first(None)
    say_left_out(data, held_out)
    monitor = cfg.eval.monitor
    print(f"best epoch {best['epoch']}: {monitor} {best[monitor]:.4g} on held-out data\n{folder}")


def begin(
    cfg: Any, folder: Path, model: Model, state: TrainingState | None, settings: dict[str, Any]
) -> None:
    """Give a model the weights that it begins or goes on with.

    Raises ValueError if they are of another training than the state.
    """
    if state is None:
        initialise(cfg, model)
    else:
        compare(state, settings, folder)
        checkpoint.load_weights(model, state.weights, folder)
    if cfg.backbone.frozen:
        freeze(cfg, model)


def introduce(cfg: Any, model: Model, samples: int, held_out: int, how: str) -> None:
    """Say what is trained on what, and how."""
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"{cfg.task.name} {cfg.task.method} on {cfg.dataset.name}: {samples:,} training samples, "
        f"{held_out:,} held out, {count:,} weights to learn\n{how}"
    )


def selection_of(
    cfg: Any, folder: Path, held_out: engine.Samples, truth: Truth, size: int
) -> engine.Selection:
    """The choice of the best epoch: a model is drawn and scored on held-out samples."""

    def score(candidate: Model) -> engine.Figures:
        metric = tree.build(config.plain(cfg.eval.metric), truth=truth)
        rules = {cfg.task.aggregate: candidate.aggregate}
        if processes.first():
            draw(cfg, folder, candidate, held_out)
        return engine.evaluate(candidate, held_out, metric, rules, size, label="validation")

    return engine.Selection(score, cfg.eval.monitor, cfg.eval.better)


def some(data: engine.Samples, cfg: Any, key: str) -> engine.Samples:
    """Samples, as many as this key of `trainer` says, evenly spaced; all for null."""
    count = cfg.trainer[key]
    if count is None:
        return data
    if count < 1:
        raise ValueError(f"trainer.{key} must be 1 or more, or null for all, got {count}")
    return engine.Subset(data, count)


def say_left_out(data: engine.Samples, held_out: engine.Samples) -> None:
    for part, samples in (("training", data), ("held out", held_out)):
        lost = loading.left_out_by_all(samples)
        if lost:
            print(f"{part}: {loading.in_short(lost, f'{len(samples):,} samples')}")


def draw(cfg: Any, folder: Path, model: Model, held_out: engine.Samples) -> None:
    """Draw the predictions of a few held-out samples, always the same ones, into the run folder."""
    if cfg.task.draws is None or not cfg.trainer.drawn:
        return
    with loggers.spared(held_out_sheet.SHEET):
        draws, settings = tree.imported(cfg.task.draws), config.plain(cfg.dataset)
        seen = held_out_sheet.sheet(model, held_out, cfg.trainer.drawn, draws, settings)
        if seen is not None:
            write_picture(folder / held_out_sheet.SHEET, seen)


def recipe_of(cfg: Any) -> engine.Recipe:
    trainer = config.plain(cfg.trainer)
    recipe: engine.Recipe = tree.build(
        trainer["recipe"],
        rate=tree.build(trainer["rate"]),
        aligned=rates.self_aligned(trainer["self_aligned"]),
        save_every=tree.build(trainer["save_every"]),
        micro_batch=trainer["micro_batch"],
        shard=trainer["shard"],
    )
    return recipe


def settings_of(cfg: Any, model_tree: dict[str, Any], samples: int) -> dict[str, Any]:
    """Settings that a training depends on, as its states keep them."""
    return {
        "seed": cfg.seed,
        "dataset": config.plain(cfg.dataset),
        "training samples": samples,
        "model": model_tree,
        "trainer": config.plain(cfg.trainer),
        "backbone": {"frozen": cfg.backbone.frozen},
        "eval": {key: cfg.eval[key] for key in CHOSEN_BY},
    }


def compare(state: TrainingState, settings: dict[str, Any], folder: Path) -> None:
    """Say in what settings a training goes on otherwise than it began. Raises ValueError for those
    that would make it another training: its seed, data, batches, model, optimiser, and the figure
    that its best epoch was chosen by."""
    before = dict(state.trainer.get("settings", {}))  # none in states of older versions
    if not state.trainer["best"]:
        before.pop("eval", None)  # nothing was chosen by it yet
    same = state.config.get("versions", {}).get("posediff") == __version__
    settings = {key: settings[key] for key in before}
    changed = tree.differences(settings, before, "", FREE, same_version=same)
    words = {at.lstrip("."): f"{at.lstrip('.')}={now} (it was {was})" for at, now, was in changed}
    other = [text for key, text in words.items() if not RECIPE & {*key.split(".")}]
    if other:
        raise ValueError(
            f"{folder}: not the training that began here: {', '.join(other)}; give what it began "
            "with, or name= starts another run"
        )
    if words:
        print(f"from here on {', '.join(words.values())}")


def initialise(cfg: Any, model: Model) -> None:
    """Load the weights that training starts from, if the configuration names any."""
    backbone = model.head.pretrained
    if backbone is not None and cfg.backbone.weights is not None:
        print(weights.load(backbone, cfg.backbone.weights))
    if cfg.task.begin is not None:
        for source, at in pairs(cfg.task.begin_parts):
            checkpoint.load_part(model, at, shipped.find(cfg.task.begin), source)


def pairs(parts: Any) -> list[tuple[str, str]]:
    """task.begin_parts. Raises ValueError if it is no list of pairs of names."""
    try:
        return [(str(source), str(at)) for source, at in parts]
    except (TypeError, ValueError):
        raise ValueError(
            "task.begin_parts must be pairs of a part of that model and the part of this one that "
            f"gets its weights, such as [[head.clip,head.clip]], got {parts}"
        ) from None


def freeze(cfg: Any, model: Model) -> None:
    """Freeze the pretrained part. Raises ValueError if there is none, or its weights are random."""
    backbone = model.head.pretrained
    if backbone is None:
        raise ValueError(f"backbone.frozen: {cfg.task.method} has no backbone, leave it out")
    if cfg.backbone.weights is None and cfg.task.begin is None:
        raise ValueError(
            "backbone.frozen=true would keep random weights: set backbone.weights or task.begin"
        )
    backbone.freeze()


def kept_maps(
    cfg: Any, model: Model, data: engine.Samples, held_out: engine.Samples
) -> tuple[engine.Samples, engine.Samples]:
    """Both parts of the data, with kept maps in place of their images if `trainer.cache` asks."""
    if cfg.trainer.cache.views is None:
        return data, held_out
    if processes.first():  # the others then read what it wrote
        cached(cfg, model, data, held_out)
    processes.from_first(None)
    return cached(cfg, model, data, held_out)


def cached(
    cfg: Any, model: Model, data: engine.Samples, held_out: engine.Samples
) -> tuple[engine.Samples, engine.Samples]:
    """Both parts of the data with the maps of the frozen backbone in place of their images."""

    def part(samples: engine.Samples, split: str, views: int) -> engine.Samples:
        options = {"dataset": config.dataset_tree(cfg), "split": split}
        name, backbone = f"{cfg.dataset.name}-{split}", model.head.pretrained
        place, workers = Path(cfg.trainer.cache.folder), cfg.trainer.recipe.workers
        return feature_cache.cached(samples, backbone, place, name, options, views, workers)

    return part(data, "train", cfg.trainer.cache.views), part(held_out, "validation", 1)


def optimizer_of(cfg: Any, model: Model) -> torch.optim.Optimizer:
    """The configured optimiser of the parts of a model that learn. Raises ValueError for an option
    that it does not have."""
    node = config.plain(cfg.trainer.optimizer)
    # without a value torch chooses, and not all optimisers have it
    node = {key: x for key, x in node.items() if (key, x) != ("fused", None)}
    name, target = node["_target_"], tree.build(node)
    made: torch.optim.Optimizer = tree.called(
        name, target.func, target.keywords, groups(cfg, model)
    )
    return made


def groups(cfg: Any, model: Model) -> list[dict[str, Any]]:
    """Parameter groups with their learning rates: a backbone's layers learn more slowly the deeper
    they are."""
    backbone, above = model.head.pretrained, dict[int, int]()
    if backbone is not None:
        above = {id(p): backbone.layers_above(name) for name, p in backbone.named_parameters()}
    by_depth: dict[int, list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            by_depth.setdefault(above.get(id(parameter), 0), []).append(parameter)
    lr, decay = cfg.trainer.optimizer.lr, cfg.trainer.layer_decay
    return [{"params": some, "lr": lr * decay**k} for k, some in sorted(by_depth.items())]


def calibrate(cfg: Any, folder: Path, held_out: engine.Samples, batch_size: int) -> None:
    """Let the best model measure its errors on held-out samples, and save it again; once."""
    about = checkpoint.read_config(folder)
    if about.get(CALIBRATED):
        return
    model = checkpoint.load(folder, config.classes(cfg)).to(config.device(cfg.device))
    engine.calibrate(model, held_out, batch_size)
    checkpoint.save(folder, model.state_dict(), {**about, CALIBRATED: True})


if __name__ == "__main__":
    main()

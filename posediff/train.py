"""Train a model: python -m posediff.train task=lift3d dataset=synthetic"""

from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig

from posediff import (
    announce,
    checkpoint,
    config,
    engine,
    feature_cache,
    loggers,
    profiling,
    shipped,
    speed,
    tree,
)
from posediff.command import command
from posediff.diffusion import Model
from posediff.nn import weights


@command("train")
def main(cfg: Any) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not cfg.resume and (folder / "checkpoints").exists():
        raise ValueError(
            f"{folder} holds a run already: resume=true continues it, name= starts another"
        )
    torch.manual_seed(cfg.seed)
    data, held_out = config.dataset(cfg, "train"), config.dataset(cfg, "validation")
    truth = held_out.truth(whole=False)
    if cfg.trainer.train_samples is not None:
        data = engine.Subset(data, cfg.trainer.train_samples)
    if cfg.trainer.validation_samples is not None:
        held_out = engine.Subset(held_out, cfg.trainer.validation_samples)
    model_tree = config.model_tree(cfg)
    encoders, device = checkpoint.encoders(model_tree), config.device(cfg.device)
    model = config.build_model(model_tree).to(device)
    size = engine.samples_of(cfg.eval.batch_size, model)
    if not cfg.resume:
        initialise(cfg, model)
    if cfg.backbone.frozen:
        freeze(cfg, model)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"{cfg.task.name} {cfg.task.method} on {cfg.dataset.name}: {len(data):,} training samples, "
        f"{len(held_out):,} held out, {count:,} weights to learn\n{announce.encoders(encoders)}"
        f"{announce.device(device)}\n{speed.use(cfg.trainer, model, device)}{folder}"
    )
    if cfg.trainer.cache.views is not None:
        data, held_out = cached(cfg, model, data, held_out, folder)

    def score(candidate: Model) -> engine.Figures:
        metric = tree.build(config.plain(cfg.eval.metric), truth=truth)
        rules = {cfg.task.aggregate: candidate.aggregate}
        return engine.evaluate(candidate, held_out, metric, rules, size, label="validation")

    trainer = config.plain(cfg.trainer)
    optimizer = tree.build(trainer["optimizer"])(groups(cfg, model))
    recipe = tree.build(trainer["recipe"])
    if cfg.trainer.profile is not None:
        print("\n".join(profiling.profile(model, data, optimizer, recipe, cfg.trainer.profile)))
        return
    copies = config.loggers(cfg, folder)
    with loggers.following(folder, cfg.eval.monitor, copies) as follower:
        best = engine.fit(
            model,
            data,
            optimizer,
            tree.build(trainer["rate"]),
            recipe,
            score,
            cfg.eval.monitor,
            folder,
            config.model_config(cfg, model_tree) | {"encoders": announce.names(encoders)},
            cfg.resume,
            cfg.eval.better,
            engine.self_aligned(trainer["self_aligned"]),
            follower,
        )
    calibrate(cfg, folder / "checkpoints/best", held_out, size)
    monitor = cfg.eval.monitor
    print(f"best epoch {best['epoch']}: {monitor} {best[monitor]:.4g} on held-out data\n{folder}")


def initialise(cfg: Any, model: Model) -> None:
    """Load the weights that training starts from, if the configuration names any."""
    backbone = model.head.pretrained
    if backbone is not None and cfg.backbone.weights is not None:
        print(weights.load(backbone, cfg.backbone.weights))
    if cfg.task.begin is not None:
        for source, at in cfg.task.begin_parts.items():
            checkpoint.load_part(model, at, shipped.find(cfg.task.begin), source)


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


def cached(
    cfg: Any, model: Model, data: engine.Samples, held_out: engine.Samples, folder: Path
) -> tuple[engine.Samples, engine.Samples]:
    """Both parts of the data with the maps of the frozen backbone in place of their images."""
    if cfg.resume:
        last = folder / "checkpoints/last"
        checkpoint.load_weights(model, checkpoint.read_weights(last), last)

    def part(samples: engine.Samples, split: str, views: int) -> engine.Samples:
        options = {"dataset": config.dataset_tree(cfg), "split": split}
        name, backbone = f"{cfg.dataset.name}-{split}", model.head.pretrained
        place, workers = Path(cfg.trainer.cache.folder), cfg.trainer.recipe.workers
        return feature_cache.cached(samples, backbone, place, name, options, views, workers)

    return part(data, "train", cfg.trainer.cache.views), part(held_out, "validation", 1)


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
    """Let the best model measure its errors on held-out samples, and save it again."""
    model = checkpoint.load(folder, config.classes(cfg)).to(config.device(cfg.device))
    engine.calibrate(model, held_out, batch_size)
    checkpoint.save(folder, model.state_dict(), checkpoint.read_config(folder))


if __name__ == "__main__":
    main()

"""Train a model: python -m posediff.train task=lift3d dataset=synthetic"""

from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate

from posediff import checkpoint, config, engine
from posediff.command import command
from posediff.diffusion import Model
from posediff.nn import weights
from posediff.nn.backbone import Backbone
from posediff.tasks.image2d import Image2D


@command("train")
def main(cfg: Any) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not cfg.resume and (folder / "checkpoints").exists():
        raise ValueError(
            f"{folder} holds a run already: resume=true goes on with it, name= renames"
        )
    torch.manual_seed(cfg.seed)
    data, held_out = config.dataset(cfg, "train"), config.dataset(cfg, "validation")
    whole = held_out
    if cfg.trainer.train_samples is not None:
        data = engine.Thinned(data, cfg.trainer.train_samples)
    if cfg.trainer.validation_samples is not None:
        held_out = engine.Thinned(held_out, cfg.trainer.validation_samples)
    tree = config.model_tree(cfg)
    model = config.build_model(tree).to(config.device(cfg.device))
    if not cfg.resume:
        begin(cfg, model)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(
        f"{cfg.task.name} {cfg.task.method} on {cfg.dataset.name}: {len(data):,} training samples, "
        f"{len(held_out):,} held out, {count:,} weights to learn\n{folder}"
    )

    def score(candidate: Model) -> engine.Figures:
        metric = config.metric(cfg, whole, "validation")
        rules = {cfg.task.aggregate: candidate.aggregate}
        size = config.batch_size(cfg)
        return engine.evaluate(candidate, held_out, metric, rules, size, label="validation")

    best = engine.fit(
        model,
        data,
        instantiate(cfg.trainer.optimizer, _convert_="all")(groups(cfg, model)),
        instantiate(cfg.trainer.rate, _convert_="all"),
        instantiate(cfg.trainer.recipe),
        score,
        cfg.eval.monitor,
        folder,
        config.model_config(cfg, tree),
        cfg.resume,
        cfg.eval.better,
    )
    calibrate(folder / "checkpoints/best", held_out, config.batch_size(cfg), cfg.device)
    monitor = cfg.eval.monitor
    print(f"best epoch {best['epoch']}: {monitor} {best[monitor]:.4g} on held-out data\n{folder}")


def begin(cfg: Any, model: Model) -> None:
    """Weights of others that training begins with, where the configuration names some."""
    if "backbone" in cfg and cfg.backbone.weights is not None:
        backbone = next(m for m in model.modules() if isinstance(m, Backbone))
        print(weights.load(backbone, cfg.backbone.weights))
    if cfg.task.get("begin") is not None:
        checkpoint.load_part(model, "head.clip", Path(cfg.task.begin), "head.clip")
    if cfg.task.get("coarse") is not None:
        at = "head.coarse" if isinstance(model.head, Image2D) else "head"
        checkpoint.load_part(model, at, Path(cfg.task.coarse))


def groups(cfg: Any, model: Model) -> list[dict[str, Any]]:
    """What is learned, by rate: a backbone's layers learn the slower the deeper they lie."""
    above: dict[str, int] = {}
    for at, module in model.named_modules():
        if isinstance(module, Backbone):
            above |= {f"{at}.{k}": module.layers_above(k) for k, _ in module.named_parameters()}
    by_depth: dict[int, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            by_depth.setdefault(above.get(name, 0), []).append(parameter)
    lr, decay = cfg.trainer.optimizer.lr, cfg.trainer.layer_decay
    return [{"params": some, "lr": lr * decay**k} for k, some in sorted(by_depth.items())]


def calibrate(folder: Path, held_out: engine.Samples, batch_size: int, device: str) -> None:
    """Let the best model learn from held-out samples what its errors are like."""
    model = checkpoint.load(folder).to(config.device(device))
    engine.calibrate(model, held_out, batch_size)
    checkpoint.save(folder, model.state_dict(), checkpoint.read_config(folder))


if __name__ == "__main__":
    main()

"""Score a model: python -m posediff.eval task=lift3d dataset=synthetic"""

import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from posediff import __version__, checkpoint, config, engine, recalibration, report
from posediff.command import command
from posediff.diffusion import Model
from posediff.files import write_json


@command("eval")
def main(cfg: Any) -> None:
    run = Path(HydraConfig.get().runtime.output_dir)
    cfg, model, folder = config.trained(cfg, "eval")
    saved = checkpoint.read_config(folder)
    fits(cfg, saved, folder)
    data = config.dataset(cfg, cfg.eval.split)
    if cfg.eval.get("quirks", {}).get("count_overlap"):
        data.count_overlap = True
    rules = config.rules(cfg, model)
    metric = config.metric(cfg, data, cfg.eval.split)
    spread = recalibrated(cfg, model, folder)
    if spread:
        metric.factor = spread["factor"]
    begin = time.perf_counter()
    figures = engine.evaluate(model, data, metric, rules, config.batch_size(cfg), cfg.seed)
    seconds = time.perf_counter() - begin
    report.show(figures)
    path = write_json(run / "metrics.json", {"metrics": figures}, indent=1)  # if the rest fails
    about = {
        "checkpoint": str(folder),
        "task": cfg.task.name,
        "method": cfg.task.method,
        "dataset": cfg.dataset.name,
        "split": cfg.eval.split,
        "trained_on": saved["dataset"],
        **data.summary(),
        **(metric.summary() if hasattr(metric, "summary") else {}),
        "steps": model.steps,
        "K": model.hypotheses,
        "aggregates": list(rules),
        **({"recalibration": spread} if spread else {}),
        "flip": bool(cfg.task.flip),
        **views_apart(model),
        "seed": cfg.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 2),
        "posediff": __version__,
        "metrics": figures,
    }
    write_json(path, about, indent=1)
    files = report.result_files(metric, list(rules), run, cfg.dataset.get("origin", 0))
    picture = report.reliability_picture(figures, run)
    print("\n".join(map(str, [folder, *files, *picture, path])))


def fits(cfg: Any, saved: dict[str, Any], folder: Path) -> None:
    """ValueError for a model of other joints; a warning where it learned from other input."""
    if saved["skeleton"] != cfg.dataset.skeleton:
        raise ValueError(
            f"{folder}: trained on the joints of {saved['skeleton']}, {cfg.dataset.name} has those "
            f"of {cfg.dataset.skeleton}; use a data set of the same skeleton"
        )
    for key, what in (("keypoints", "2D of "), ("scale", "3D of scale ")):
        trained_on, seen = saved["dataset"].get(key), cfg.dataset.get(key)
        if trained_on != seen:
            print(f"warning: trained on {what}'{trained_on}', scored on '{seen}'")


def recalibrated(cfg: Any, model: Model, folder: Path) -> dict[str, Any] | None:
    """What the model folder knows of its spread; found on validation data if that is asked for."""
    found: dict[str, Any] | None = checkpoint.read_config(folder).get(recalibration.KEY)
    if cfg.eval.get("recalibrate"):
        data = config.dataset(cfg, "validation")
        metric = config.metric(cfg, data, "validation")
        held_out = engine.Thinned(data, cfg.eval.recalibrate)
        found = recalibration.fit(model, held_out, metric, config.batch_size(cfg), cfg.seed)
        recalibration.keep(folder, found)
        print(
            f"hypotheses lie {found['factor']:.2f} times as far from their mean once recalibrated"
        )
    elif found and found["steps"] != model.steps:
        print(
            f"warning: recalibrated at {found['steps']} steps, scored at "
            f"{model.steps}: eval.recalibrate=512 does it again"
        )
    return found


def views_apart(model: Model) -> dict[str, float]:
    """The share of joints, at all steps, that the two views of the flip test saw in two places."""
    watch = getattr(model.head, "watch", None)
    return {} if watch is None else {"flip_apart": round(watch.share(), 4)}


if __name__ == "__main__":
    main()

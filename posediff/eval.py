"""Score a model: python -m posediff.eval task=lift3d dataset=synthetic"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from posediff import __version__, checkpoint, config, engine, recalibration
from posediff.data.result_files import write_aic, write_coco, write_posetrack
from posediff.diffusion import Model
from posediff.metrics.aic import AicAP
from posediff.metrics.calibration import LEVELS, reliability, verdict
from posediff.metrics.coco import CocoAP
from posediff.metrics.posetrack import PoseTrackAP
from posediff.visual.pose3d import write_picture
from posediff.visual.reliability import draw_reliability


@config.main("eval")
def main(cfg: Any) -> None:
    run = Path(HydraConfig.get().runtime.output_dir)
    cfg, model, folder = config.trained(cfg, "eval")
    saved = checkpoint.read_config(folder)
    if saved["skeleton"] != cfg.dataset.skeleton:
        raise ValueError(
            f"{folder}: trained on the joints of {saved['skeleton']}, {cfg.dataset.name} has those "
            f"of {cfg.dataset.skeleton}; use a data set of the same skeleton"
        )
    for key, what in (("keypoints", "2D of "), ("scale", "3D of scale ")):
        trained_on, seen = saved["dataset"].get(key), cfg.dataset.get(key)
        if trained_on != seen:
            print(f"warning: trained on {what}'{trained_on}', scored on '{seen}'")
    data = config.dataset(cfg, cfg.eval.split)
    if cfg.eval.get("quirks", {}).get("count_overlap"):
        data.count_overlap = True
    rules = config.rules(cfg, model)
    names = list(rules)
    metric = config.metric(cfg, data, cfg.eval.split)
    spread = recalibrated(cfg, model, folder)
    if spread:
        metric.factor = spread["factor"]
    begin = time.perf_counter()
    figures = engine.evaluate(model, data, metric, rules, config.batch_size(cfg), cfg.seed)
    seconds = time.perf_counter() - begin
    report = {
        "checkpoint": str(folder),
        "task": cfg.task.name,
        "method": cfg.task.method,
        "dataset": cfg.dataset.name,
        "split": cfg.eval.split,
        "trained_on": saved["dataset"],
        **data.summary(),
        **(metric.summary() if hasattr(metric, "summary") else {}),
        "steps": recalibration.steps(model),
        "K": model.hypotheses,
        "aggregates": names,
        **({"recalibration": spread} if spread else {}),
        "flip": bool(cfg.task.flip),
        **views_apart(model),
        "seed": cfg.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 2),
        "posediff": __version__,
        "metrics": figures,
    }
    path = run / "metrics.json"
    part = path.with_name("metrics.json.part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)
    print(table(figures))
    curves = reliability(figures)
    if curves:
        print(verdict(figures))
        write_picture(run / "reliability.png", draw_reliability(LEVELS, curves))
    origin = cfg.dataset.get("origin", 0)
    files = [*result_files(metric, names, run, origin), *run.glob("reliability.png")]
    print("\n".join(map(str, [folder, *files, path])))


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
    elif found and found["steps"] != recalibration.steps(model):
        print(
            f"warning: recalibrated at {found['steps']} steps, scored at "
            f"{recalibration.steps(model)}: eval.recalibrate=512 does it again"
        )
    return found


def views_apart(model: Model) -> dict[str, float]:
    """The share of joints, at all steps, that the two views of the flip test saw in two places."""
    watch = getattr(model.head, "watch", None)
    return {} if watch is None else {"flip_apart": round(watch.share(), 4)}


def result_files(
    metric: Any, names: Sequence[str], folder: Path, origin: int = 0
) -> Iterator[Path]:
    """The poses in the benchmark's own form, by rule, where the metric has one.

    origin: what the labels of a video benchmark call the first pixel.
    """
    if isinstance(metric, PoseTrackAP):
        for name in names:
            found = metric.people(name)
            yield write_posetrack(folder / f"results_{name}", metric.documents, *found, origin)
    if isinstance(metric, CocoAP):
        category = metric.truth["categories"][0]["id"]
        for name in names:
            path, people = folder / f"results_{name}.json", metric.people(name)
            if isinstance(metric, AicAP):
                yield write_aic(path, *people)
            else:
                yield write_coco(path, *people, category)


def table(figures: engine.Figures) -> str:
    """The headline figures, one a line; all others stand in metrics.json."""
    shown = {k: x for k, x in figures.items() if ":" not in k}
    width = max(map(len, shown))
    return "\n".join(f"{k:{width}}  {x:10.{digits(x)}f}" for k, x in shown.items())


def digits(x: float) -> int:
    """Behind the point: none of a count, two of millimetres and percent, four of a share."""
    return 0 if x == int(x) else 2 if abs(x) > 1 else 4


if __name__ == "__main__":
    main()

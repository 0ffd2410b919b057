"""Score a model: python -m posediff.eval task=lift3d dataset=synthetic

Ends with exit code 1 if figures are of fewer samples than asked for, and says of how many.
"""

import sys
import time
from pathlib import Path
from typing import Any

from posediff import (
    __version__,
    announce,
    checkpoint,
    config,
    engine,
    expectation,
    loading,
    processes,
    recalibration,
    report,
    shipped,
    speed,
    start,
    tree,
)
from posediff.command import command, run_of_command
from posediff.diffusion import Model
from posediff.files import write_json
from posediff.trained_model import trained
from posediff.truth import Truth


@command("eval")
def main(cfg: Any) -> None:
    run = run_of_command()
    cfg, model, folder = trained(cfg, "eval")
    saved = checkpoint.read_config(folder)
    print(f"{announce.model(folder)}\n{announce.device(config.device(cfg.device))}", flush=True)
    fits(cfg, saved, folder)
    data = config.dataset(cfg, cfg.eval.split)
    rules = config.rules(cfg, model)
    begun = matched(cfg, model, folder)
    scaling = recalibrated(cfg, model, folder)
    metric = metric_of(cfg, data.truth(whole=cfg.eval.split != "validation"), scaling)
    size = engine.samples_of(cfg.eval.batch_size, model)
    if cfg.compile:
        print(speed.compiled_answers([model]), flush=True)
    print(expectation.evaluation(model, data, size), flush=True)
    model.head.forget()  # what was not scored
    clock = time.perf_counter()
    figures = engine.evaluate(model, data, metric, rules, size, cfg.seed)
    seconds = time.perf_counter() - clock
    lost = loading.left_out_by_all(data)
    if not processes.first():  # all have the same figures
        return
    report.show(figures, cfg.eval.monitor)
    path = write_json(run / "metrics.json", {"metrics": figures}, indent=1)  # if the rest fails
    about = {
        "checkpoint": str(folder),
        "task": cfg.task.name,
        "method": cfg.task.method,
        "dataset": cfg.dataset.name,
        "split": cfg.eval.split,
        "trained_on": saved["dataset"],
        **data.summary(),
        "unreadable_samples": len(lost),
        "unreadable": [*dict.fromkeys(lost)],
        **metric.summary(),
        "steps": model.steps,
        "timesteps": model.timesteps,
        "every_step": model.every_step,
        **({start.KEY: begun} if begun else {}),
        "K": model.hypotheses,
        "aggregates": list(rules),
        **({"recalibration": scaling} if scaling else {}),
        **model.head.summary(),
        "seed": cfg.seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 2),
        "posediff": __version__,
        "metrics": figures,
    }
    write_json(path, about, indent=1)
    files = [folder, *metric.result_files(run), *report.reliability_picture(figures, run), path]
    print("\n".join(map(str, files)))
    unusable = about.get("unusable_annotations", [])
    missing = ((unusable, "the annotations"), (lost, f"{len(data):,} samples"))
    for words in (loading.in_short(lines, what) for lines, what in missing if lines):
        print(f"error: not scored: {words}", file=sys.stderr)
    if lost or unusable:
        sys.exit(1)


def metric_of(cfg: Any, truth: Truth, scaling: dict[str, Any] | None = None) -> Any:
    """The configured metric; it also scores recalibrated hypotheses if their factors are given."""
    factors = {"factors": scaling["factors"]} if scaling else {}
    return tree.build(config.plain(cfg.eval.metric), truth=truth, **factors)


def fits(cfg: Any, saved: dict[str, Any], folder: Path) -> None:
    """Raise ValueError for a model of other joints; warn if it was trained on other input."""
    if saved["skeleton"] != cfg.dataset.skeleton:
        raise ValueError(
            f"{folder}: trained on the joints of {saved['skeleton']}, {cfg.dataset.name} has those "
            f"of {cfg.dataset.skeleton}; use a data set of the same skeleton"
        )
    for key, what in (("keypoints", "2D of "), ("annotation", "3D of ")):
        trained_on, seen = saved["dataset"].get(key), cfg.dataset.get(key)
        if trained_on != seen:
            print(f"warning: trained on {what}'{trained_on}', scored on '{seen}'")


def matched(cfg: Any, model: Model, folder: Path) -> dict[str, Any] | None:
    """The start and end that the model folder keeps, if they are used; found on validation data if
    `eval.match_start`."""
    found = start.used(cfg, checkpoint.read_config(folder))
    if cfg.eval.match_start:
        refuse_finding(cfg, folder, "match_start")
        if keys := start.asked(map(config.key_of, config.overrides_given())):
            raise ValueError(f"eval.match_start chooses {keys[0]}: leave out one of the two")
        instead_of = found["instead_of"] if found else start.configured(cfg)
        found = {**best_range(cfg, model), "instead_of": instead_of}
        if processes.first():
            start.keep(folder, found)
        print(f"inference begins and ends at timesteps {model.timesteps}")
    elif found and found["steps"] != model.steps:
        print(
            f"warning: start and end were found with {found['steps']} steps, scored with "
            f"{model.steps}: eval.match_start=512 does it again"
        )
    return found


def best_range(cfg: Any, model: Model) -> dict[str, Any]:
    """The best start and end on validation data, given to the model, and how they were found."""
    data = config.dataset(cfg, "validation")
    held_out = engine.Subset(data, cfg.eval.match_start)
    truth, size = data.truth(whole=False), engine.samples_of(cfg.eval.batch_size, model)

    def score(model: Model) -> float:
        metric, rules = metric_of(cfg, truth), {cfg.task.aggregate: model.aggregate}
        figures = engine.evaluate(model, held_out, metric, rules, size, cfg.seed, label="start")
        if cfg.eval.monitor not in figures:
            raise engine.no_figure(cfg.eval.monitor, figures)
        return figures[cfg.eval.monitor]

    found = start.fit(model, held_out, score, cfg.eval.better)
    return {**found, "monitor": cfg.eval.monitor}


def recalibrated(cfg: Any, model: Model, folder: Path) -> dict[str, Any] | None:
    """The recalibration of the model folder; fitted on validation data if `eval.recalibrate`."""
    found: dict[str, Any] | None = checkpoint.read_config(folder).get(recalibration.KEY)
    if cfg.eval.recalibrate:
        refuse_finding(cfg, folder, "recalibrate")
        data = config.dataset(cfg, "validation")
        held_out = engine.Subset(data, cfg.eval.recalibrate)
        size = engine.samples_of(cfg.eval.batch_size, model)
        found = recalibration.fit(model, held_out, size, cfg.seed)
        if processes.first():
            recalibration.keep(folder, found)
        print(f"recalibrated: {announce.spread_change(found['factors'])}")
    elif found and found.get("sampler", str(model.sampler)) != str(model.sampler):
        print(
            f"warning: recalibrated with {found['sampler']}, scored with {model.sampler}: "
            "eval.recalibrate=512 does it again"
        )
    elif found and cfg.eval.split == found.get("split"):
        print("warning: the factors of the recalibration were found on the data that is scored")
    return found


def refuse_finding(cfg: Any, folder: Path, option: str) -> None:
    """Raise ValueError if an option that reads validation data is given where they are scored, or
    where the model folder, to which it writes what it finds, is of the package."""
    if cfg.eval.split == "validation":
        raise ValueError(
            f"eval.{option} reads the validation data, which eval.split=validation scores: score "
            "another split"
        )
    if shipped.PACKAGED in folder.resolve().parents:
        raise ValueError(
            f"eval.{option} writes to the model folder, and {folder} is of the package: copy it, "
            "and name the copy by checkpoint="
        )


if __name__ == "__main__":
    main()

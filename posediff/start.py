"""Start and end of inference: the timesteps that serve a model best on validation data.

A network trained on noise around the truth expects an error of sigma / alpha at t, and finds the
error of its start, then that of its own answers. If these were Gaussian, the best start would be
the t whose sigma / alpha is their deviation. They are not: most joints are near, and some are wrong
by half a person (benchmarks/image2d.md). So the figure that training selects by is computed for
every start in eighths of the schedule, then for every end in quarters of the best start. The
configured range is among them and is left only for a better one. A start that is drawn needs a
sigma near 1, so of such a model only the end is chosen.

The config.json of the model folder keeps what was found, with the steps and K it was found for.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from posediff import checkpoint, engine
from posediff.diffusion import Model
from posediff.diffusion.sampler import Sampler
from posediff.sample import to

KEY = "match_start"
RANGE = ("start", "end")  # keys of the sampler


def fit(
    model: Model, data: engine.Samples, score: Callable[[Model], float], better: str
) -> dict[str, Any]:
    """Give the model the sampler whose start and end have the best score on `data`, and return how
    they were found. `better` is lower or higher.

    Raises ValueError for a model without steps.
    """
    scores: dict[tuple[int, ...], float] = {}

    def scored(sampler: Sampler) -> float:
        model.sampler = sampler
        if model.timesteps not in scores:
            scores[model.timesteps] = score(model)
        return scores[model.timesteps]

    sample = to(data.__getitems__([0]), next(model.parameters()).device)
    for choices in (model.starts, model.ends):
        samplers = choices(sample)
        if not samplers:
            raise ValueError("eval.match_start: a method without diffusion has no steps to place")
        values = [scored(sampler) for sampler in samplers]
        best = max(values) if better == "higher" else min(values)
        model.sampler = chosen = samplers[values.index(best)]  # the configured one, if equal
    return {
        "start": chosen.start,
        "end": chosen.end,
        "steps": model.steps,
        "K": model.hypotheses,
        "scores": {" ".join(map(str, steps)): value for steps, value in scores.items()},
        "split": "validation",
        "samples": len(data),
    }


def keep(folder: Path, found: Mapping[str, Any]) -> None:
    """Write what was found to the model folder, whose sampler it changes; replaces an older one."""
    config = checkpoint.read_config(folder)
    config["model"]["sampler"] |= {key: found[key] for key in RANGE}
    checkpoint.write_config(folder, config | {KEY: dict(found)})


def use(cfg: Any, saved: Mapping[str, Any], given: Iterable[str]) -> None:
    """Let the configured sampler begin and end where the config.json of a model folder says.

    Nothing changes if it says nothing, or if another range is asked for: by `given`, the keys of
    the command, or by a preset with another range than the one that was replaced.
    """
    found = saved.get(KEY)
    if found and not asked(given) and found["instead_of"] == configured(cfg):
        for key in RANGE:
            cfg.sampler[key] = found[key]


def used(cfg: Any, saved: Mapping[str, Any]) -> dict[str, Any] | None:
    """The entry of config.json in a model folder, if the configured sampler has this range."""
    found: dict[str, Any] | None = saved.get(KEY)
    return found if found and configured(cfg) == {key: found[key] for key in RANGE} else None


def asked(given: Iterable[str]) -> list[str]:
    """The keys of a command that choose the range."""
    return [key for key in given if key in [f"sampler.{name}" for name in RANGE]]


def configured(cfg: Any) -> dict[str, Any]:
    return {key: cfg.sampler[key] for key in RANGE}

"""Gains by steps in 2D: decoders with and without self-aligned training, at several S and K.

    python benchmarks/steps_2d.py COARSE_MODEL_FOLDER [--seeds 0 1 2] [--steps 1 2 4 8]
        [--hypotheses 1 5] [--trainings plain aligned] [--starts fixed measured] [--share .5]
        [--begin .8] [--held-out 512] [--table FILE] [--overrides KEY=VALUE ...]
    python benchmarks/steps_2d.py PLAIN_MODEL_FOLDER --steps 1 4 --hypotheses 1 4

The folder, of experiment=image2d_coarse or video2d_plain, says task, data set, crops and backbone;
its parts are where every decoder (sgdd_light with one block a scale, or decoder_light) begins. Two
are trained a seed, equal but for trainer.self_aligned, and scored on the test part, without flip
test: at every S and K, from the preset's start and from the start and end that serve S best on
validation data (at K = 1), and by the last step and by the mean of all steps. With K above 1
image2d starts from the coarse pose with noise. One table a figure, in percent; gains are over the
fewest steps, seed by seed. Runs lie under --runs and are kept; what is there is not made again.
Overrides are of the trainings, such as trainer.recipe.epochs=6 or backbone.weights=FILE.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lspet_image2d import call
from mocap_lift3d import spread

from posediff import checkpoint, config, engine, feature_cache, start
from posediff.diffusion import DiffusionModel, Model
from posediff.diffusion.aggregate import Hypotheses, mean
from posediff.eval import metric_of
from posediff.sample import to

RECIPE = ("trainer=people_minutes", "task.flip=false")
DECODERS = {
    "image2d": ("preset=sgdd_light", "task.head.decoder.blocks=1", "trainer.recipe.batch_size=16"),
    "video2d": ("preset=decoder_light",),
}
# the first is the one that start and end are chosen by
FIGURES = {
    "image2d": {"12 limbs @.2": "pck_limbs@0.2", "all joints @.2": "pck@0.2"},
    "video2d": {
        "all joints @.1": "pck_person@0.1",
        "all joints @.2": "pck_person@0.2",
        **{
            f"{part} @.1": f"pck_person@0.1:{part}"
            for part in ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        },
    },
}
INIT = {"image2d": ({"init": "coarse"}, {"init": "coarse+noise"}), "video2d": ({}, {})}
TRAININGS, STARTS, ANSWERS = ("plain", "aligned"), ("fixed", "measured"), ("last", "mean")

Cells = dict[str, dict[str, Any]]  # of one decoder: "S K start answer" -> figures


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a coarse or plain model")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--hypotheses", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--trainings", nargs="+", default=TRAININGS, choices=TRAININGS)
    parser.add_argument("--starts", nargs="+", default=STARTS, choices=STARTS)
    parser.add_argument("--share", type=float, default=0.5, help="trainer.self_aligned.share")
    parser.add_argument("--begin", type=float, default=0.8, help="trainer.self_aligned.from")
    parser.add_argument("--held-out", type=int, default=512, help="samples that choose the start")
    parser.add_argument("--test", type=int, help="samples that are scored; all of them else")
    parser.add_argument("--runs", type=Path, default=Path("runs/steps_2d"))
    parser.add_argument("--table", type=Path, help="a file that is written after every decoder")
    parser.add_argument("--overrides", nargs="*", default=[], metavar="KEY=VALUE")
    args = parser.parse_args(arguments)
    begin = Begin(args.folder)
    done: dict[str, list[Cells]] = {training: [] for training in args.trainings}
    cfg = config.compose("train", [*begin.overrides, *args.overrides])
    before = baseline(begin, cfg, args)
    for seed in args.seeds:
        for training in args.trainings:
            folder = train(begin, training, seed, args)
            done[training].append(scores(begin, cfg, folder, args))
            text = table(begin, before, done, args)
            if args.table:
                args.table.write_text(text)
    print(text)


class Begin:
    """The model that all decoders begin with, and what they share with it."""

    def __init__(self, folder: Path) -> None:
        saved = checkpoint.read_config(folder)
        self.folder, self.task, self.data = folder, saved["task"], saved["dataset"]
        given = [o for o in saved["overrides"] if config.group_of(o) in ("task", "backbone")]
        own = ("task", "task.begin", "task.begin_parts", "task.flip")
        kept = [o for o in given if config.key_of(o) not in own]
        crops = [
            f"dataset.{key}={self.data[key]}"
            for key in ("size", "codec", "offsets")
            if key in self.data
        ]
        of_data = (f"dataset={self.data['name']}", *crops)
        self.overrides = [f"task={self.task}", *DECODERS[self.task], *RECIPE, *kept, *of_data]

    def figures(self, found: engine.Figures, rule: str) -> dict[str, float]:
        """The figures of the tables, of one rule."""
        named = {}
        for name, figure in FIGURES[self.task].items():
            of, colon, part = figure.partition(":")
            named[name] = found[f"{self.data['name']}/{of}/{rule}{colon}{part}"]
        return named


def train(begin: Begin, training: str, seed: int, args: argparse.Namespace) -> Path:
    """The best model of a training, which is made, or gone on with, unless it is finished."""
    folder = args.runs / begin.task / begin.data["name"] / f"{training}-s{seed}"
    if not (folder / "finished").exists():
        share = args.share if training == "aligned" else 0.0
        call(
            "posediff.train",
            args.runs,
            *begin.overrides,
            f"task.begin={begin.folder.resolve()}",
            f"trainer.self_aligned={{share: {share}, from: {args.begin}}}",
            f"seed={seed}",
            f"name={folder.name}",
            f"resume={'true' if (folder / 'checkpoints/last').exists() else 'false'}",
            *args.overrides,
        )
        (folder / "finished").touch()
    return folder


def baseline(begin: Begin, cfg: Any, args: argparse.Namespace) -> dict[str, float]:
    """The figures of the model that all begin with."""
    model = checkpoint.load(begin.folder).to(config.device(cfg.device))
    data = config.dataset(cfg, "test")
    held = engine.Subset(maps_of(cfg, model, data, "test", args.runs), args.test or len(data))
    metric = metric_of(cfg, data.truth())
    found = engine.evaluate(model, held, metric, {"mean": mean}, cfg.eval.batch_size)
    return begin.figures(found, "mean")


def scores(begin: Begin, cfg: Any, folder: Path, args: argparse.Namespace) -> Cells:
    """The figures of a decoder at all S and K, from the starts asked for, by both answers."""
    path = folder / "steps.json"
    found: Cells = json.loads(path.read_text()) if path.exists() else {}
    wanted = {(S, K, at) for S in args.steps for K in args.hypotheses for at in args.starts}
    missing = sorted(x for x in wanted if f"{x[0]} {x[1]} {x[2]} last" not in found)
    if not missing:
        return found
    model = checkpoint.load(folder / "checkpoints/best").to(config.device(cfg.device))
    held_out, test = config.dataset(cfg, "validation"), config.dataset(cfg, "test")
    kept, scored = (
        Read(engine.Subset(data, count or len(data)))
        for data, count in (
            (maps_of(cfg, model, held_out, "validation", args.runs), args.held_out),
            (maps_of(cfg, model, test, "test", args.runs), args.test),
        )
    )
    fixed, ranges = model.sampler, {}
    for S, K, at in missing:
        model.head.set_inference(**INIT[begin.task][0])
        model.sampler = replace(fixed, steps=S)
        if at == "measured":
            if S not in ranges:
                truth = held_out.truth(whole=False)
                score = partial(figure, begin=begin, cfg=cfg, data=kept, truth=truth)
                start.fit(model, kept, score, "higher")
                ranges[S] = model.sampler
            model.sampler = ranges[S]
        model.head.set_inference(**INIT[begin.task][K > 1])
        answered = answers(model, scored, metric_of(cfg, test.truth()), cfg.eval.batch_size, K)
        for answer in ANSWERS:
            named = begin.figures(answered, answer)
            found[f"{S} {K} {at} {answer}"] = {**named, "timesteps": model.timesteps}
        path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def maps_of(
    cfg: Any, model: DiffusionModel, data: engine.Samples, split: str, runs: Path
) -> engine.Samples:
    """The data with the maps of the backbone in place of its images, if all decoders have the same
    one; the data else."""
    if not cfg.backbone.frozen:
        return data
    backbone = model.head.pretrained
    backbone.freeze()
    options = {"dataset": config.dataset_tree(cfg), "split": split}
    name = f"{cfg.dataset.name}-{split}"
    return feature_cache.cached(data, backbone, runs / "cache", name, options)


class Read:
    """A data set of which every batch is read once."""

    def __init__(self, data: engine.Samples) -> None:
        self.data, self.seen = data, dict[tuple[int, ...], dict[str, Any]]()

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, rows: list[int]) -> dict[str, Any]:
        if tuple(rows) not in self.seen:
            self.seen[tuple(rows)] = self.data.__getitems__(rows)
        return self.seen[tuple(rows)]

    def set_epoch(self, epoch: int) -> None:
        self.data.set_epoch(epoch)


def figure(model: Model, begin: Begin, cfg: Any, data: engine.Samples, truth: Any) -> float:
    """The figure that start and end are chosen by: the last step at K = 1."""
    metric, size = metric_of(cfg, truth), cfg.eval.batch_size
    found = engine.evaluate(model, data, metric, {"mean": mean}, size, label="start", hypotheses=1)
    return next(iter(begin.figures(found, "mean").values()))


@torch.no_grad()
def answers(
    model: DiffusionModel, data: engine.Samples, metric: Any, size: int, K: int
) -> engine.Figures:
    """The figures of the last step and of the mean of all steps, on the same draws."""
    device = next(model.parameters()).device
    for sample in engine.in_order(data, size):
        *_, last = every = list(model.answers(to(sample, device), K))
        for name, estimates in zip(ANSWERS, (last.estimates, averaged(every)), strict=True):
            metric.update(name, mean(replace(last, estimates=estimates)), last.sample)
    return metric.compute()


def averaged(every: Sequence[Hypotheses]) -> torch.Tensor:
    return torch.stack([h.estimates for h in every]).mean(0)


def table(
    begin: Begin, before: dict[str, float], done: dict[str, list[Cells]], args: argparse.Namespace
) -> str:
    lines = [f"{date.today()}, seeds {' '.join(map(str, args.seeds))}"]
    for name in FIGURES[begin.task]:
        columns = ["training", "start", "K", "answer", *(f"S = {S}" for S in args.steps)]
        columns += [f"gain {S}" for S in args.steps[1:]]
        lines += ["", f"{name}; where all begin {before[name]:.1f}", ""]
        lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in rows(name, done, args)]
    if "measured" in args.starts:
        lines += ["", "Timesteps of the measured starts, by training and seed:", ""]
        lines += timesteps(done, args)
    return "\n".join(lines) + "\n"


def timesteps(done: dict[str, list[Cells]], args: argparse.Namespace) -> Iterator[str]:
    """The measured starts and ends, a line a decoder."""
    for training, decoders in done.items():
        for seed, cells in zip(args.seeds, decoders, strict=False):
            K = args.hypotheses[0]
            found = [cells[f"{S} {K} measured last"]["timesteps"] for S in args.steps]
            grids = "; ".join(" ".join(map(str, grid)) for grid in found)
            yield f"- {training}, seed {seed}: {grids}"


def rows(name: str, done: dict[str, list[Cells]], args: argparse.Namespace) -> Iterator[list[str]]:
    """A row a training, start, K and answer; gains are over the fewest steps."""
    for training, decoders in done.items():
        for at in args.starts:
            for K in args.hypotheses:
                for answer in ANSWERS:
                    every = [
                        [cells[f"{S} {K} {at} {answer}"][name] for cells in decoders]
                        for S in args.steps
                    ]
                    if decoders:
                        first, *more = every
                        gains = [[b - a for a, b in zip(first, x, strict=True)] for x in more]
                        figures = [spread(x) for x in (*every, *gains)]
                        yield [training, at, str(K), answer, *figures]


if __name__ == "__main__":
    main()

"""`posediff FILE...`: poses of a user's own files, by the kind of each."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

import numpy as np

from posediff import announce, checkpoint, config, processes, shipped, speed, usage
from posediff.asked import (
    DENOISING,
    LAYOUT,
    PAGE,
    beside,
    folders_of,
    formats,
    refuse_overwriting,
    refuse_short,
    refuse_unused,
)
from posediff.command import one_line_errors
from posediff.data.video.frames import FILMS
from posediff.diffusion import Model
from posediff.files import visible
from posediff.inference.keypoint_files import KINDS, keypoint_files
from posediff.inference.keypoint_units import Units
from posediff.inference.keypoints import rows_of
from posediff.inference.lifting_input import image_size
from posediff.inference.photo_input import KINDS as PHOTOS
from posediff.inference.photo_input import photo_files
from posediff.inference.video_input import open_video
from posediff.options import Parser
from posediff.outputs.frame_json import stream
from posediff.outputs.save import FEWEST
from posediff.people.budget import costs, expected, within
from posediff.people.denoising import Joints2D, film_denoising
from posediff.people.frame import Frame
from posediff.people.lifting import Carry, Draws
from posediff.people.stages import ROLES, models_of
from posediff.people.tally import Tally
from posediff.pose.skeleton import skeleton
from posediff.progress import progress

MODELS = ("image2d", "lift3d")  # the names of those that ship
NO_LIFTER = (
    f"3D is left out: no model {MODELS[1]} ships with this copy of posediff. With one that you\n"
    f"trained: --model {MODELS[0]} --model <run folder>"
)


def main(words: Sequence[str], commands: Sequence[str]) -> None:
    """Answer a command line of files and options. `commands` are what else a first word may be."""
    with one_line_errors(), processes.together():
        asked = parser().parse_args(words)
        if not asked.files:
            raise ValueError("no file is named; posediff --help says what can be")
        for path in asked.files:
            if path.is_symlink() and not path.exists():
                raise FileNotFoundError(f"{path}: a link to {path.readlink()}, which is not there")
            if not path.exists():
                option, _, value = str(path).partition("=")
                near = [f"--{option} {value}"] if option in vars(asked) else []
                near += get_close_matches(str(path), [*commands, *beside(path)], 1)
                hint = f"did you mean {near[0]}?" if near else f"those are {', '.join(commands)};"
                raise FileNotFoundError(
                    f"{path}: no such file and no command; {hint} See posediff --help"
                )
        answer(asked)


def answer(asked: argparse.Namespace) -> None:
    """Keypoints go to the lifter, a video at a time and all photos together to `estimate`. Several
    processes share videos and photos; the first says what could not be used."""
    kinds = {path: kind_of(path) for path in asked.files}
    refuse_unused(asked, kinds)
    folders = folders_of(asked, kinds)
    refuse_overwriting(asked, kinds, folders)
    bad = list[str]()
    photos = [path for path, kind in kinds.items() if kind not in (*KINDS, *FILMS)]
    films = processes.part([path for path, kind in kinds.items() if kind in FILMS])
    for path, folder in folders.items():
        noted = bad if processes.first() or path in films else []
        with kept(noted, path) if len(folders) > 1 else nullcontext():
            if kinds[path] in KINDS:
                lift(path, folder, asked)
            elif path in films:
                look([path], folder, asked)
    if photos:
        with kept(bad if processes.first() else [], photos[0]):
            look(photos, asked.to, asked)
    bad = processes.joined(bad)
    if bad and processes.first():
        raise ValueError(bad[0] if len(bad) == 1 else f"{len(bad)} could not be used: {bad}")


def kind_of(path: Path) -> str:
    """The suffix of a file; of a folder of keypoints without photos that of its files."""
    if not path.is_dir() or visible(path, PHOTOS):
        return path.suffix.lower()
    return next((file.suffix.lower() for file in keypoint_files(path)), "")


@contextmanager
def kept(bad: list[str], path: Path) -> Iterator[None]:
    """Note an error of one file, so that it does not lose the results of the others."""
    try:
        yield
    except (OSError, ValueError) as error:
        bad.append(" ".join(str(error).split()))
    except SystemExit as stop:  # of a command, which has printed its line
        if stop.code not in (None, 0, 1):
            raise  # it was stopped, and so are the others
        if stop.code:
            bad.append(f"{path}: was not used, as said above")


def gathered(frames: Iterable[Frame], bad: list[str]) -> list[Frame]:
    """All frames, of all processes; the errors that they end with are noted."""
    found = list[Frame]()
    with kept(bad, Path()):
        for frame in frames:
            found.append(frame)
    found, bad[:] = processes.joined(found), processes.joined(bad)
    if bad and not found:
        raise ValueError(bad[0])
    return found


def until_error(frames: Iterable[Frame], bad: list[str]) -> Iterator[Frame]:
    """The frames of a video up to the error that they end with, which is noted. It is raised if
    less than a film of FEWEST frames comes before it."""
    count = 0
    try:
        for frame in frames:
            count += 1
            yield frame
    except (OSError, ValueError) as error:
        if count < FEWEST:
            raise
        bad.append(f"{error}; the {count} frames before it are written")


def look(paths: Sequence[Path], folder: Path, asked: argparse.Namespace) -> None:
    """The people of photos, or of one video, as files and as a page that shows them."""
    import posediff

    film, device = paths[0].suffix.lower() in FILMS, config.device(asked.device)
    count = len(open_video(paths[0]).names) if film else sum(len(photo_files(p)) for p in paths)
    if film:
        refuse_short(paths[0], count, asked.formats or ())
    for name in used_models(asked):
        print(announce.used(shipped.find(name)))
    print(announce.device(device), flush=True)
    models = models_of(asked.model, not asked.flat, film, str(device))
    draws = Draws(asked.hypotheses, asked.steps, asked.seed, asked.carry)
    draws = draws.into(models.get("lift3d"))
    if asked.compile:
        print(speed.compiled_answers(models.values()), flush=True)
    if asked.budget_ms is not None:
        draws = within(asked.budget_ms, draws, models, costs(models, draws, film))
        draws = draws if film else processes.from_first(draws)
        chosen = draws.hypotheses or 1, draws.steps or 1
        print(f"{'budget':8} {asked.budget_ms:g} ms a person: {chosen[0]} hypotheses, ", end="")
        print(f"{chosen[1]} steps")
    kind, each = "frame" if film else "photo", "each" if count > 1 else "it"
    what = f"{count} {kind}{'s' * (count > 1)} with one person in {each}"
    print(expected(models, count, f"{what}, besides the detector", draws, film), flush=True)
    tally, bad = Tally(), list[str]()
    found = frames_of(paths, film, asked, models, draws, str(device))
    counted = tally.over(progress(found, count, kind + "s", notes={}))
    seen = until_error(counted, bad) if film else gathered(counted, bad)
    if not isinstance(seen, Iterator):
        if not processes.first():
            return
        list(tally.over(seen[tally.frames :]))  # those of other processes
    written = posediff.save(seen, folder, formats(asked, film, count > 1))
    shown: Iterable[Frame] = seen
    if film:  # frames are read again, so that few are in memory
        video = open_video(paths[0])
        stored = stream(folder / "frames.json")
        shown = (replace(frame, image=video.read(frame.index or 0)) for frame in stored)
    if not asked.flat:
        written.append(posediff.view(shown, folder / PAGE))
        if asked.denoising:
            again = stream(folder / "frames.json") if film else seen
            written += denoising(again, models["lift3d"], folder, asked.seed)
    print("\n".join(map(str, written)))
    print(tally.line())
    if bad:
        raise ValueError("; ".join(bad))


def frames_of(
    paths: Sequence[Path],
    film: bool,
    asked: argparse.Namespace,
    models: Mapping[str, Model],
    draws: Draws,
    device: str,
) -> Iterator[Frame]:
    """The frames of a video, or of the photos that are this process's."""
    import posediff

    own = [] if film else processes.part([str(file) for x in paths for file in photo_files(x)])
    if not (film or own):
        return iter(())
    return posediff.estimate(
        str(paths[0]) if film else own,
        to="2d" if asked.flat else "3d",
        models=models,
        boxes=asked.boxes,
        hypotheses=draws.hypotheses,
        steps=draws.steps,
        seed=asked.seed,
        device=device,
        carry=asked.carry,
    )


def used_models(asked: argparse.Namespace) -> list[str]:
    """The models that are given, and those that ship for what these do not do. Without any lifter
    the command stays in 2D, and says so. Raises ValueError for a model that estimates no poses."""
    given, tasks = list(asked.model or ()), set[str]()
    for name in given:
        task = checkpoint.read_config(shipped.find(name)).get("task")
        if task not in ROLES:
            raise ValueError(f"--model {name}: no model of poses; name one of {', '.join(ROLES)}")
        tasks.add(task)
    if not (asked.flat or MODELS[1] in tasks or MODELS[1] in shipped.names()):
        print(NO_LIFTER)
        asked.flat = True
    if not tasks & {*ROLES[:2]}:
        given.insert(0, MODELS[0])
    if not (asked.flat or MODELS[1] in tasks):
        given.append(MODELS[1])
    return given


def denoising(frames: Iterable[Frame], lifter: Model, folder: Path, seed: int) -> list[Path]:
    """The denoising of the largest person in 3D of the first frame that has one, as a GIF."""
    for frame in frames:
        people = [person for person in frame if person.keypoints_3d is not None]
        if people:
            largest = max(
                people, key=lambda person: float(np.prod(person.box[2:] - person.box[:2]))
            )
            return [film_denoising(lifter, Joints2D.of(largest), folder / DENOISING, seed)]
    return []


def lift(path: Path, folder: Path, asked: argparse.Namespace) -> None:
    """Lift a file of keypoints as `posediff predict task=lift3d` does."""
    from posediff import predict

    ships = MODELS[1] if MODELS[1] in shipped.names() else None
    model = asked.model[-1] if asked.model else ships
    if model and (task := checkpoint.read_config(shipped.find(model)).get("task")) != MODELS[1]:
        raise ValueError(f"--model {model}: of {task}; keypoints need a model of {MODELS[1]}")
    given = {
        "input": path,
        "output": folder,
        "layout": asked.layout,
        "units": asked.units,
        "image_size": asked.image_size and f"[{asked.image_size}]",
        "checkpoint": model,
        "task.hypotheses": asked.hypotheses,
        "sampler.steps": asked.steps,
        "seed": asked.seed,
        "device": asked.device,
        "compile": asked.compile or None,
    }
    lifter = lifter_of(asked, model) if asked.denoising or asked.budget_ms is not None else None
    if lifter is not None and asked.budget_ms is not None:
        models = {MODELS[1]: lifter}
        draws = Draws(asked.hypotheses, asked.steps, asked.seed, "point")
        draws = within(asked.budget_ms, draws, models, costs(models, draws))
        given |= {"task.hypotheses": draws.hypotheses, "sampler.steps": draws.steps}
    sys.argv[1:] = ["task=lift3d", *(f"{k}={x}" for k, x in given.items() if x is not None)]
    predict.main()
    if lifter is not None and asked.denoising:
        size = image_size(asked.image_size.split(",")) if asked.image_size else None
        rows = rows_of(path, skeleton(asked.layout), asked.units, size)
        joints = Joints2D(rows.points[0], rows.scores[0], asked.layout)
        print(film_denoising(lifter, joints, folder / DENOISING, asked.seed))


def lifter_of(asked: argparse.Namespace, model: str | None) -> Model:
    """The lifter of that name or folder. Raises ValueError if there is none."""
    if model is None:
        raise ValueError("--denoising and --budget-ms need --model: the name or folder of a lifter")
    return checkpoint.load(model).to(config.device(asked.device))


def path_named(word: str) -> Path:
    """The path of a word. Raises ArgumentTypeError for an empty one, as of a variable not set."""
    if not word:
        raise argparse.ArgumentTypeError("the name is empty: name a file, and behind --to a folder")
    return Path(word)


def parser() -> Parser:
    made = Parser("posediff", usage.GENERAL)
    made.add_argument("files", nargs="*", type=path_named)
    made.add_argument("--to", type=path_named, default=Path("predictions"))
    made.add_argument("--model", action="append")
    made.add_argument("--boxes")
    made.add_argument("--2d", dest="flat", action="store_true")
    made.add_argument("--formats", type=lambda names: [x.strip() for x in names.split(",")])
    made.add_argument("--layout", default=LAYOUT)
    made.add_argument("--units", choices=get_args(Units))
    made.add_argument("--image-size")
    made.add_argument("--hypotheses", type=int)
    made.add_argument("--steps", type=int)
    made.add_argument("--budget-ms", type=float)
    made.add_argument("--carry", default="posterior", choices=get_args(Carry))
    made.add_argument("--compile", action="store_true")
    made.add_argument("--gif", action="store_true")
    made.add_argument("--denoising", action="store_true")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", default="auto")
    return made

"""`posediff FILE...`: poses of a user's own files, by the kind of each."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from posediff import announce, config, shipped, usage
from posediff.command import one_line_errors
from posediff.data.video.frames import FILMS
from posediff.inference.keypoint_files import KINDS
from posediff.inference.video_input import open_video
from posediff.outputs.frame_json import read
from posediff.people.frame import Frame
from posediff.people.tally import Tally

MODELS = ("image2d", "lift3d")  # the names of those that ship
NO_LIFTER = (
    f"3D is left out: no model {MODELS[1]} ships with this copy of posediff. With one that you\n"
    f"trained: --model {MODELS[0]} --model <run folder>"
)


def main(words: Sequence[str], commands: Sequence[str]) -> None:
    """Answer a command line of files and options. `commands` are what else a first word may be."""
    with one_line_errors():
        asked = parser().parse_args(words)
        for path in asked.files:
            if not path.exists():
                meant = get_close_matches(str(path), commands, 1) or [
                    "one of " + ", ".join(commands)
                ]
                raise FileNotFoundError(
                    f"{path}: no such file and no command; did you mean {meant[0]}? See posediff "
                    "--help"
                )
        answer(asked)


def answer(asked: argparse.Namespace) -> None:
    """Keypoints go to the lifter, a video at a time and all photos together to `estimate`."""
    kinds = {path: path.suffix.lower() for path in asked.files}
    photos = [path for path, kind in kinds.items() if kind not in (*KINDS, *FILMS)]
    for path in asked.files:
        folder = asked.to / path.stem if len(asked.files) > 1 else asked.to
        if kinds[path] in KINDS:
            lift(path, folder, asked)
        elif kinds[path] in FILMS:
            look([path], folder, asked)
    if photos:
        look(photos, asked.to, asked)


def look(paths: Sequence[Path], folder: Path, asked: argparse.Namespace) -> None:
    """The people of photos, or of one video, as files and as a page that shows them."""
    import posediff

    film, device = paths[0].suffix.lower() in FILMS, config.device(asked.device)
    if not (asked.flat or asked.model or MODELS[1] in shipped.names()):
        print(NO_LIFTER)
        asked.flat = True
    for name in asked.model or MODELS[: 1 if asked.flat else 2]:
        print(announce.model(shipped.find(name)))
    print(announce.device(device), flush=True)
    frames = posediff.estimate(
        str(paths[0]) if film else [str(path) for path in paths],
        to="2d" if asked.flat else "3d",
        models=asked.model,
        boxes=asked.boxes,
        hypotheses=asked.hypotheses,
        steps=asked.steps,
        seed=asked.seed,
        device=str(device),
    )
    tally = Tally()
    seen = tally.over(frames) if film else list(tally.over(frames))
    chosen = asked.formats.split(",") if asked.formats else formats(film, asked.flat)
    written = posediff.save(seen, folder, ("json", *chosen))
    if not asked.flat:
        shown = again(paths[0], folder) if film else seen
        written.append(posediff.view(shown, folder / "view.html"))
    print("\n".join(map(str, written)))
    print(tally.line())


def formats(film: bool, flat: bool) -> tuple[str, ...]:
    """What is written besides frames.json if no formats are asked for."""
    angles = () if flat else ("angles",)
    return "csv", "npz", *angles, "video" if film else "pictures"


def again(path: Path, folder: Path) -> Iterator[Frame]:
    """The frames of a video that were written, with their images."""
    video = open_video(str(path))
    for frame in read(folder / "frames.json"):
        yield replace(frame, image=video.read(frame.index or 0))


def lift(path: Path, folder: Path, asked: argparse.Namespace) -> None:
    """Lift a file of keypoints as `posediff predict task=lift3d` does."""
    from posediff import predict

    ships = MODELS[1] if MODELS[1] in shipped.names() else None
    model = asked.model[-1] if asked.model else ships
    given = {
        "input": path,
        "output": folder,
        "layout": asked.layout,
        "checkpoint": model,
        "task.hypotheses": asked.hypotheses,
        "sampler.steps": asked.steps,
        "seed": asked.seed,
        "device": asked.device,
    }
    sys.argv[1:] = ["task=lift3d", *(f"{k}={x}" for k, x in given.items() if x is not None)]
    predict.main()


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are ValueErrors."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; posediff --help lists the options")


def parser() -> argparse.ArgumentParser:
    made = Parser("posediff", add_help=False, allow_abbrev=False)
    made.format_help = lambda: usage.GENERAL  # type: ignore[method-assign]
    made.add_argument("-h", "--help", action="help")
    made.add_argument("files", nargs="+", type=Path)
    made.add_argument("--to", type=Path, default=Path("predictions"))
    made.add_argument("--model", action="append")
    made.add_argument("--boxes")
    made.add_argument("--2d", dest="flat", action="store_true")
    made.add_argument("--formats")
    made.add_argument("--layout", default="coco17")
    made.add_argument("--hypotheses", type=int)
    made.add_argument("--steps", type=int)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", default="auto")
    return made

"""`posediff FILE...`: poses of a user's own files, by the kind of each."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from posediff import announce, config, shipped, usage
from posediff.command import one_line_errors
from posediff.data.video.frames import FILMS
from posediff.files import visible
from posediff.inference.keypoint_files import KINDS, keypoint_files
from posediff.inference.photo_input import KINDS as PHOTOS
from posediff.outputs.frame_json import read
from posediff.people.frame import Frame

MODELS = ("image2d", "lift3d")  # the names of those that ship


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
    kinds = {path: kind_of(path) for path in asked.files}
    bad = list[str]()
    photos = [path for path, kind in kinds.items() if kind not in (*KINDS, *FILMS)]
    for path in asked.files:
        folder = asked.to / path.stem if len(asked.files) > 1 else asked.to
        with kept(bad, path):
            if kinds[path] in KINDS:
                lift(path, folder, asked)
            elif kinds[path] in FILMS:
                look([path], folder, asked)
    if photos:
        with kept(bad, photos[0]):
            look(photos, asked.to, asked)
    if bad:
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
        if stop.code not in (None, 0):
            bad.append(f"{path}: was not used, as said above")


def gathered(frames: Iterable[Frame], bad: list[str]) -> list[Frame]:
    """All frames; the error that some end with is noted."""
    found = list[Frame]()
    with kept(bad, Path()):
        for frame in frames:
            found.append(frame)
    if bad and not found:
        raise ValueError(bad[0])
    return found


def look(paths: Sequence[Path], folder: Path, asked: argparse.Namespace) -> None:
    """The people of photos, or of one video, as files and as a page that shows them."""
    import posediff

    film, device = paths[0].suffix.lower() in FILMS, config.device(asked.device)
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
    formats = ("json", "csv", "npz", *(() if asked.flat else ("angles",)))
    bad = list[str]()
    seen = frames if film else gathered(frames, bad)
    written = posediff.save(seen, folder, (*formats, "video") if film else formats)
    shown = read(folder / "frames.json") if film else seen
    if not asked.flat:
        written.append(posediff.view(shown, folder / "view.html"))
    print("\n".join(map(str, written)))
    if bad:
        raise ValueError(bad[0])


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
    made.add_argument("--layout", default="coco17")
    made.add_argument("--hypotheses", type=int)
    made.add_argument("--steps", type=int)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", default="auto")
    return made

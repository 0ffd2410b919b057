"""`posediff FILE...`: poses of a user's own files, by the kind of each."""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from posediff import shipped, usage
from posediff.command import one_line_errors
from posediff.inference.keypoint_files import KINDS

LIFTER = "lift3d"  # the name of the model that lifts files of keypoints, if it ships


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
    """Files of keypoints go to the lifter; photos and videos are not known here yet."""
    for path in asked.files:
        if path.suffix.lower() not in KINDS:
            raise ValueError(
                f"{path}: no file of 2D keypoints ({', '.join(KINDS)}); for photos and videos use "
                f"posediff predict task=image2d (or video2d) input={path}"
            )
    for path in asked.files:
        folder = asked.to / path.stem if len(asked.files) > 1 else asked.to
        lift(path, folder, asked)


def lift(path: Path, folder: Path, asked: argparse.Namespace) -> None:
    """Lift a file of keypoints as `posediff predict task=lift3d` does."""
    from posediff import predict

    model = asked.model or (LIFTER if LIFTER in shipped.names() else None)
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
    made.add_argument("--model")
    made.add_argument("--layout", default="coco17")
    made.add_argument("--hypotheses", type=int)
    made.add_argument("--steps", type=int)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--device", default="auto")
    return made

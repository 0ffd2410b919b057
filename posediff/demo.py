"""`posediff demo`: the photos and the video that ship, through the models that ship."""

import argparse
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from posediff import shipped, usage, use
from posediff.command import one_line_errors

EXAMPLES = Path(__file__).parent / "examples"
PHOTOS = ("skateboard.jpg", "street.jpg", "tennis.jpg")
FILM = "golf.mp4"
LIFTER = use.MODELS[1]
NO_LIFTER = (
    f"3D is left out: no model {LIFTER} ships with this copy of posediff. With one that you\n"
    "trained: posediff demo --model <run folder>; `make demo-train` trains a small one."
)


def main(words: Sequence[str]) -> None:
    """Copy the examples into a folder, and estimate them by the commands of a user."""
    with one_line_errors():
        asked = parser().parse_args(words)
        asked.to.mkdir(parents=True, exist_ok=True)
        for name in (*PHOTOS, FILM):
            shutil.copyfile(EXAMPLES / name, asked.to / name)
        options = list[str]()
        if asked.model:
            options = ["--model", use.MODELS[0], "--model", asked.model]
        elif LIFTER not in shipped.names():
            print(NO_LIFTER)
            options = ["--2d"]
        photos = [str(asked.to / name) for name in PHOTOS]
        show([*photos, "--to", str(asked.to / "photos"), *options])
        films = () if "--2d" in options else ("--formats", "csv,angles,curves,bvh,video")
        show([str(asked.to / FILM), "--to", str(asked.to / "film"), *films, *options])


def show(words: list[str]) -> None:
    """Print a command, and do it."""
    print(f"\n$ posediff {shlex.join(words)}", flush=True)
    use.main(words, ())


def parser() -> argparse.ArgumentParser:
    made = use.Parser("posediff demo", add_help=False, allow_abbrev=False)
    made.format_help = lambda: usage.DEMO  # type: ignore[method-assign]
    made.add_argument("-h", "--help", action="help")
    made.add_argument("--to", type=Path, default=Path("demo"))
    made.add_argument("--model")
    return made

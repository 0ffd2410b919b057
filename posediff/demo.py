"""`posediff demo`: the photos and the video that ship, through the models that ship."""

import filecmp
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from posediff import shipped, usage, use
from posediff.command import one_line_errors
from posediff.options import Parser

EXAMPLES = Path(__file__).parent / "examples"
PHOTOS = ("skateboard.jpg", "street.jpg", "tennis.jpg")
FILM = "golf.mp4"
LIFTER = use.MODELS[1]


def main(words: Sequence[str]) -> None:
    """Copy the examples into a folder, and estimate them by the commands of a user."""
    with one_line_errors():
        asked = parser().parse_args(words)
        copy_examples(asked.to)
        models = ["--model", use.MODELS[0], "--model", asked.model] if asked.model else []
        photos = [str(asked.to / name) for name in PHOTOS]
        show([*photos, "--to", str(asked.to / "photos"), *models])
        lifts = asked.model or LIFTER in shipped.names()
        formats = ["--formats", "csv,angles,curves,bvh,video"] if lifts else []
        show([str(asked.to / FILM), "--to", str(asked.to / "film"), *formats, *models])


def copy_examples(folder: Path) -> None:
    """Copy the photos and the video into a folder. Raises ValueError if another file has a name of
    theirs; nothing is copied then."""
    for name in (*PHOTOS, FILM):
        place = folder / name
        if place.exists() and not filecmp.cmp(EXAMPLES / name, place, shallow=False):
            raise ValueError(
                f"{place}: a file of yours, and the demo has one of this name; name another "
                "folder, --to FOLDER"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*PHOTOS, FILM):
        shutil.copyfile(EXAMPLES / name, folder / name)


def show(words: list[str]) -> None:
    """Print a command, and do it."""
    print(f"\n$ posediff {shlex.join(words)}", flush=True)
    use.main(words, ())


def parser() -> Parser:
    made = Parser("posediff demo", usage.DEMO)
    made.add_argument("--to", type=Path, default=Path("demo"))
    made.add_argument("--model")
    return made

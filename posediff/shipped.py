"""Models by name: those that ship with posediff, found without a network.

    $POSEDIFF_WEIGHTS/<name>/    searched first, if that variable is set
    posediff/weights/<name>/     in the installed package

A name is a string of one word. Anything else is the path of a folder, and so is ./word: a model
folder, or the folder of a training run, for its best model.
"""

import os
from difflib import get_close_matches
from pathlib import Path

from posediff.files import kept_beside
from posediff.run_folder import BEST

PACKAGED = Path(__file__).parent / "weights"
CONFIG = "config.json"  # what makes a folder a model


def roots() -> list[Path]:
    """The folders that contain models, in the order of the search.

    Raises FileNotFoundError if POSEDIFF_WEIGHTS names no folder.
    """
    own = os.environ.get("POSEDIFF_WEIGHTS")
    if not own:
        return [PACKAGED]
    if not Path(own).is_dir():
        raise FileNotFoundError(f"POSEDIFF_WEIGHTS={own}: no such folder; correct or unset it")
    return [Path(own), PACKAGED]


def names() -> list[str]:
    """The names of the models that exist, sorted."""
    return sorted({path.parent.name for root in roots() for path in root.glob(f"*/{CONFIG}")})


def find(model: Path | str) -> Path:
    """The folder of a model by its name, or by its path.

    Raises FileNotFoundError for a word that is neither a name nor a folder.
    """
    path = Path(model)
    if not isinstance(model, str) or model != path.name:
        return best_of(path)
    for root in roots():
        if (root / model / CONFIG).is_file():
            return root / model
    if path.is_dir():
        return best_of(path)
    near = get_close_matches(model, names(), 1)
    meant = f"did you mean {near[0]}? The " if near else ""
    raise FileNotFoundError(
        f"{model}: no such folder and no model of that name; {meant}models: "
        f"{', '.join(names()) or 'none'}"
    )


def best_of(folder: Path) -> Path:
    """The best model of a run folder; any other folder as it is."""
    best = folder / BEST
    held = best.is_dir() or kept_beside(best).is_dir()
    return best if held and not (folder / CONFIG).is_file() else folder

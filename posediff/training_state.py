"""States that a stopped training goes on from: the newest one, and the one before it.

    <run>/checkpoints/last/       model.safetensors  config.json  trainer.pt  sums.json
    <run>/checkpoints/previous/   the same, as of the save before

trainer.pt has the optimiser, the mean of the weights, counters and the settings of the training;
sums.json has the SHA-256 of the other files. A state is written beside and synced before it takes
its place, and the newest one is only moved once another is whole: at every moment one of the two
places has a whole state, from the end of the first save on. Nothing is unpickled.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from posediff import checkpoint, run_folder
from posediff.files import new_folder, sync
from posediff.torch_files import refuse_program, write_torch

LAST, PREVIOUS, DAMAGED = (f"checkpoints/{name}" for name in ("last", "previous", "damaged"))
TRAINER, SUMS = "trainer.pt", "sums.json"


class TrainingState(NamedTuple):
    """The state that `save` was given."""

    weights: dict[str, Tensor]
    config: dict[str, Any]
    trainer: dict[str, Any]


def save(
    run: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any], trainer: Mapping[str, Any]
) -> None:
    """Keep a state as the newest one, and the newest so far as the one before it.

    Raises OSError if it cannot be written, ValueError if it holds what cannot be read again, such
    as objects of an optimiser of your own; both older states then stay as they are.
    """
    last, previous = run / LAST, run / PREVIOUS
    with new_folder(last) as beside:
        checkpoint.fill(beside, weights, config)
        write_torch(trainer, beside / TRAINER)
        read_trainer(beside, mmap=True)
        sums = {path.name: checkpoint.digest(path) for path in sorted(beside.iterdir())}
        (beside / SUMS).write_text(json.dumps(sums, indent=1) + "\n")
    if last.is_dir():
        shutil.rmtree(previous, ignore_errors=True)
        last.rename(previous)
    beside.rename(last)
    sync(last.parent)


def newest(run: Path) -> TrainingState | None:
    """The newest whole state, None if there was no save yet. One that is damaged is named, and
    moved to checkpoints/damaged.

    Raises ValueError if no state is whole, and OSError if the system does not read one.
    """
    wrong = []
    for folder in (run / LAST, run / PREVIOUS):
        if not folder.is_dir():
            continue
        try:
            state = read(folder)
        except (ValueError, FileNotFoundError) as error:
            wrong.append(str(error))
            continue
        if wrong:
            print(f"warning: {wrong[0]}; going on from {folder}, the state before it", flush=True)
            shutil.rmtree(run / DAMAGED, ignore_errors=True)
            (run / LAST).rename(run / DAMAGED)
        return state
    if wrong:
        raise ValueError(
            f"{'; '.join(wrong)}: no state is whole; delete {run / 'checkpoints'} to start again"
        )
    return None


def read(folder: Path) -> TrainingState:
    """The state in a folder. Raises FileNotFoundError or ValueError for a damaged file."""
    sums = folder / SUMS
    for name, digest in run_folder.read_object(sums).items() if sums.exists() else ():
        path = folder / Path(name).name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        if checkpoint.digest(path) != digest:
            raise ValueError(f"{path}: damaged, its SHA-256 is not that of {SUMS}")
    weights, config = checkpoint.read_weights(folder), checkpoint.read_config(folder)
    return TrainingState(weights, config, read_trainer(folder))


def read_trainer(folder: Path | str, mmap: bool = False) -> dict[str, Any]:
    """trainer.pt of a state; mmap: its tensors stay in the file.

    Raises FileNotFoundError if there is none, ValueError if it is damaged, and another OSError if
    the system does not read it: it may be whole.
    """
    path = checkpoint.existing(folder) / TRAINER
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, so there is no training to go on with")
    refuse_program(path)
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except OSError as error:
        raise OSError(f"{path}: cannot be read ({error})") from None
    except Exception as error:  # torch.load fails in many ways on damaged files
        why = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: damaged, or holds more than tensors and numbers ({why})"
        ) from None
    if not isinstance(state, dict):
        raise ValueError(f"{path}: damaged, or no state of a training")
    return state

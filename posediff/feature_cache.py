"""The maps of a frozen backbone on disk: computed once, and read by training in place of pixels.

    <folder>/<name>-<key>/view0/   0.npy, 1.npy ..   float16 (N, [F,] C, H, W): a map of all samples
                                   samples.pt        all entries of the samples but their pixels,
                                                     and why others could not be read
    <folder>/<name>-<key>/view1/ ..

View v is the augmentation that a data set draws in epoch v. The key is a hash of all that the maps
and entries depend on, so that corrected labels have maps of their own; of pictures it has the names
and sizes. A view is complete or absent, so a stopped computation goes on with the next view. One
process computes, and others wait for it.
"""

import json
import pickle
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.files import replacing_folder
from posediff.loading import Samples, in_order, left_out
from posediff.nn.backbone import Backbone
from posediff.sample import cat, pixels_of, take
from posediff.torch_files import write_torch

VERSION = 1  # of the maps and the files
BATCH = 8  # samples: larger batches leave the processor's cache
SAMPLES, LOCK = "samples.pt", "lock"


class StoredView(NamedTuple):
    """The samples of one epoch."""

    maps: dict[str, NDArray[np.float16]]  # on disk, (N, [F,] C, H, W)
    pixels: str  # the entry that they replace
    samples: dict[str, Any]  # the other entries, N rows
    lost: list[str]  # samples that could not be read, which have no row, and why


class CachedSamples:
    """A data set (`engine.Samples`) with maps in place of pixels, {"0": (B, [F,] C, H, W), ..}.
    Epoch e has view e modulo their number. about: the summary of the data set.

    Views may differ in length, as a picture may be read at one time and not at another. Their
    number of samples is that of the first; in a shorter one others take the place of the last.
    """

    def __init__(self, views: list[StoredView], about: dict[str, Any]) -> None:
        self.views, self.about, self.epoch = views, about, 0

    def __len__(self) -> int:
        return len(self.views[0].samples["id"])

    def __getitems__(self, rows: list[int]) -> dict[str, Any]:
        view = self.views[self.epoch % len(self.views)]
        rows = [row % len(view.samples["id"]) for row in rows]
        maps = {name: torch.from_numpy(x[rows]).float() for name, x in view.maps.items()}
        return {**take(view.samples, rows), view.pixels: maps}

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def summary(self) -> dict[str, Any]:
        """The description of the data in a result."""
        return self.about


def cached(
    data: Samples,
    backbone: Backbone | None,
    folder: Path,
    name: str,
    options: Mapping[str, Any],
    views: int = 1,
    workers: int = 0,
) -> CachedSamples:
    """The data set with the maps of the backbone, read from `folder` or first written there.

    name: of the data, for its folder and messages. options: all that its samples depend on
    besides the files, which its summary tells.
    Raises ValueError if the backbone is not frozen, for less than one view, or a damaged file;
    OSError if the disk is too small.
    """
    if backbone is None or not backbone.frozen:
        raise ValueError("trainer.cache keeps maps of a frozen backbone: set backbone.frozen=true")
    if views < 1:
        raise ValueError(f"trainer.cache.views must be 1 or more, got {views}")
    about = data.summary()
    at = folder / f"{name}-{key(backbone, {**options, 'data': about, 'samples': len(data)})}"
    folders = [at / f"view{v}" for v in range(views)]
    if not all(view.is_dir() for view in folders):
        with alone(at):
            compute(data, backbone, folders, f"maps of {name}", workers)
    print(f"maps of {name}: {views} view{'s' * (views > 1)} in {at}", flush=True)
    found = [read(view) for view in folders]
    if lost := [*dict.fromkeys(line for view in found for line in view.lost)]:
        print(f"maps of {name}: {len(lost)} samples could not be read: {'; '.join(lost[:3])}")
    return CachedSamples(found, about)


def key(backbone: Backbone, options: Mapping[str, Any]) -> str:
    """A hash of frozen weights and options."""
    about = {"version": VERSION, "backbone": type(backbone).__name__, **options}
    digest = sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, x in backbone.state_dict().items():
        if not name.startswith(backbone.learning):
            digest.update(name.encode())
            digest.update(x.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def compute(
    data: Samples, backbone: Backbone, folders: list[Path], label: str, workers: int
) -> None:
    """Write the views that are not there."""
    for v, folder in enumerate(folders):
        if not folder.is_dir():
            data.set_epoch(v)
            start, view = time.monotonic(), f"{label}, view {v + 1}/{len(folders)}"
            write(data, backbone, folder, view, workers)
            rate = len(data) / (time.monotonic() - start)
            print(f"{view}: {len(data):,} samples, {rate:.1f} a second")


@torch.inference_mode()
def write(data: Samples, backbone: Backbone, folder: Path, label: str, workers: int) -> None:
    """Compute a view: the maps and the other entries of all samples."""
    device = next(backbone.parameters()).device
    files: list[NDArray[np.float16]] = []
    rest, done, pixels = list[dict[str, Any]](), 0, ""
    backbone.eval()
    with replacing_folder(folder) as beside:
        for batch in in_order(data, BATCH, workers, label):
            pixels = pixels_of(batch)
            images: Tensor = batch.pop(pixels)
            maps = backbone.maps(images.flatten(0, -4).to(device))
            found = [x.view(*images.shape[:-3], *x.shape[1:]).half().cpu().numpy() for x in maps]
            files = files or new_files(beside, found, len(data))
            for file, x in zip(files, found, strict=True):
                file[done : done + len(x)] = x
            rest.append(batch)
            done += len(images)
        about = {"pixels": pixels, "samples": cat(rest), "lost": left_out(data)}
        write_torch(about, beside / SAMPLES)


def new_files(
    folder: Path, maps: list[NDArray[np.float16]], count: int
) -> list[NDArray[np.float16]]:
    """Files for the maps of `count` samples. Raises OSError if the disk is too small."""
    wanted = sum(x[0].nbytes for x in maps) * count
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise OSError(
            f"{folder.parent}: a view takes {wanted / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: "
            "set trainer.cache.folder"
        )
    return [
        np.lib.format.open_memmap(folder / f"{i}.npy", "w+", np.float16, (count, *x.shape[1:]))
        for i, x in enumerate(maps)
    ]


def read(folder: Path) -> StoredView:
    """A view. Raises ValueError if a file of it is damaged."""
    try:
        held = torch.load(folder / SAMPLES, weights_only=True)
        files = sorted(folder.glob("*.npy"), key=lambda path: int(path.stem))
        maps = {path.stem: np.load(path, mmap_mode="r") for path in files}
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"{folder}: damaged ({why}); remove it, to compute it again") from None
    return StoredView(maps, held["pixels"], held["samples"], held.get("lost", []))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process computes in a folder. The lock ends with the process."""
    from fcntl import LOCK_EX, LOCK_NB, lockf

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            lockf(file, LOCK_EX | LOCK_NB)
        except (BlockingIOError, PermissionError):
            print(f"{folder}: waiting for another process that computes these maps", flush=True)
            lockf(file, LOCK_EX)
        yield

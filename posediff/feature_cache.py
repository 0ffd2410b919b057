"""The maps of a frozen backbone on disk: computed once, and read by training in place of pixels.

    <folder>/<name>-<key>/view0/   0.npy, 1.npy ..   float16 (N, [F,] C, H, W): a map of all samples
                                   samples.pt        all entries of the samples but their pixels,
                                                     and why others could not be read
    <folder>/<name>-<key>/view1/ ..

View v is the augmentation that a data set draws in epoch v. The key is a hash of all that the maps
depend on. A view is complete or absent, so a stopped computation goes on with the next view.
"""

import json
import pickle
import shutil
import tempfile
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

from posediff.loading import Samples, in_order, left_out
from posediff.nn.backbone import Backbone
from posediff.sample import cat, pixels_of, take

VERSION = 1  # of the maps and the files
BATCH = 8  # samples: larger batches leave the processor's cache
SAMPLES = "samples.pt"


class StoredView(NamedTuple):
    """The samples of one epoch."""

    maps: dict[str, NDArray[np.float16]]  # on disk, (N, [F,] C, H, W)
    pixels: str  # the entry that they replace
    samples: dict[str, Any]  # the other entries, N rows
    lost: list[str]  # samples that could not be read, which have no row, and why


class CachedSamples:
    """A data set (`engine.Samples`) with maps in place of pixels, {"0": (B, [F,] C, H, W), ..}.
    Epoch e has view e modulo their number."""

    def __init__(self, views: list[StoredView]) -> None:
        self.views, self.epoch = views, 0

    def __len__(self) -> int:
        return len(self.views[0].samples["id"])

    def __getitems__(self, rows: list[int]) -> dict[str, Any]:
        view = self.views[self.epoch % len(self.views)]
        maps = {name: torch.from_numpy(x[rows]).float() for name, x in view.maps.items()}
        return {**take(view.samples, rows), view.pixels: maps}

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


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

    name: of the data, for its folder and messages. options: all that its samples depend on.
    Raises ValueError if the backbone is not frozen, for less than one view, or a damaged file;
    OSError if the disk is too small.
    """
    if backbone is None or not backbone.frozen:
        raise ValueError("trainer.cache keeps maps of a frozen backbone: set backbone.frozen=true")
    if views < 1:
        raise ValueError(f"trainer.cache.views must be 1 or more, got {views}")
    at = folder / f"{name}-{key(backbone, {**options, 'samples': len(data)})}"
    for v in range(views):
        if not (at / f"view{v}").is_dir():
            data.set_epoch(v)
            start = time.monotonic()
            write(data, backbone, at / f"view{v}", f"maps of {name}, view {v + 1}/{views}", workers)
            rate = len(data) / (time.monotonic() - start)
            print(
                f"maps of {name}, view {v + 1}/{views}: {len(data):,} samples, {rate:.1f} a second"
            )
    print(f"maps of {name}: {views} view{'s' * (views > 1)} in {at}", flush=True)
    found = [read(at / f"view{v}") for v in range(views)]
    if lost := found[0].lost:
        print(f"maps of {name}: {len(lost)} samples could not be read: {'; '.join(lost[:3])}")
    return CachedSamples(found)


def key(backbone: Backbone, options: Mapping[str, Any]) -> str:
    """A hash of frozen weights and options."""
    about = {"version": VERSION, "backbone": type(backbone).__name__, **options}
    digest = sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for name, x in backbone.state_dict().items():
        if not name.startswith(backbone.learning):
            digest.update(name.encode())
            digest.update(x.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.inference_mode()
def write(data: Samples, backbone: Backbone, folder: Path, label: str, workers: int) -> None:
    """Compute a view: the maps and the other entries of all samples."""
    device = next(backbone.parameters()).device
    files: list[NDArray[np.float16]] = []
    rest, done, pixels = list[dict[str, Any]](), 0, ""
    backbone.eval()
    with complete(folder) as beside:
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
        torch.save(about, beside / SAMPLES)


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
def complete(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to fill; it takes that place unless the block raises, or unless
    another process was there first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part", dir=folder.parent))
    try:
        yield beside
        if not folder.exists():
            beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)

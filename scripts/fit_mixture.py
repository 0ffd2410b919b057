"""2D evidence -> a file of mixtures, for dataset.keypoints.

    python scripts/fit_mixture.py EVIDENCE OUT.h5 [--calibrate residuals.npz]

EVIDENCE is HDF5, with one group per view of a clip, /<subject>/<clip>/<camera>/, that contains one
of

    heatmaps (F, J, h, w), affine (F, 2, 3)   image -> crop pixels; EM on the cells of the maps
    samples (F, K, J, 2)                      pixels, such as hypotheses of image2d; EM
    keypoints (F, J, 2)                       pixels, detections; one Gaussian each

and the attributes skeleton, image_size (width, height) and, of heatmaps, codec and size (of the
crop); attributes of a group override those of the file. Or it is data_2d_h36m_<name>.npz, the
detections of VideoPose3D. posediff/data/lifting/mixtures.py describes the output.

The width of a heatmap depends on how its network was trained, not on its error. So fit held-out
frames first, with `target` (F, J, 2), the true 2D, in every group:

    python scripts/fit_mixture.py VALIDATION.h5 validation_mixtures.h5 --residuals residuals.npz

and --calibrate multiplies the scales of each joint so that these residuals have unit variance. The
scale of detections is then their RMS residual.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posediff.data.lifting import mixtures
from posediff.data.lifting.detector import point_mixture
from posediff.data.lifting.h36m_cameras import SIZES
from posediff.data.lifting.lifting_dataset import DETECTED
from posediff.data.lifting.pickles import read_npz
from posediff.doors import hdf5_door
from posediff.doors.checks import listing, mapping, reading
from posediff.pose.heatmap import Codec
from posediff.pose.mixture import COMPONENTS, Mixture, from_heatmaps, from_samples
from posediff.pose.skeleton import skeleton

CHUNK = 64  # frames that are fitted at once
KINDS = ("heatmaps", "samples", "keypoints")
View = Mapping[str, Any]  # arrays by name, and `about`: their attributes


@dataclass(frozen=True)
class Settings:
    components: int
    samples: int | None
    seed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("evidence", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--components", type=int, default=COMPONENTS, choices=range(1, 6))
    parser.add_argument("--samples", type=int, help="fit this many draws of a heatmap, not the map")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--residuals", type=Path, help="write the residuals of `target` here")
    parser.add_argument("--calibrate", type=Path, help="residuals that calibrate the scales")
    args = parser.parse_args()
    try:
        settings = Settings(args.components, args.samples, args.seed)
        run(args.evidence, args.out, settings, args.residuals, args.calibrate)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def run(
    evidence: Path, out: Path, settings: Settings, residuals: Path | None, calibrate: Path | None
) -> None:
    layout, views = read(evidence)
    with reading(evidence, "its skeleton is unknown"):
        joints = len(skeleton(layout).joints)
    factor = np.ones((joints, 2)) if calibrate is None else factors(calibrate, joints)
    errors: list[NDArray[np.float64]] = []

    def fitted() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for name, view in views:
            with reading(f"{evidence}: {name}", "its arrays or attributes are of another form"):
                mixture = fit(f"{evidence}: {name}", view, joints, settings)
                mixture[..., 3:] *= factor[:, None]
                if residuals is not None:
                    errors.append(standardised(f"{evidence}: {name}", view, mixture))
            yield name, mixtures.sound(mixture, f"{evidence}: {name}").astype(np.float32)

    about = {
        "skeleton": layout,
        "source": str(evidence.name),
        "components": settings.components,
        "samples": settings.samples or 0,
        "seed": settings.seed,
        "calibrated": calibrate is not None,
    }
    count = mixtures.write(out, fitted(), about)
    print(f"wrote {out}: mixtures of {layout} in {count} views of clips")
    if residuals is not None:
        with residuals.open("wb") as file:
            np.savez_compressed(file, standardised=np.concatenate(errors))
        print(f"wrote {residuals}")


def fit(where: str, view: View, joints: int, settings: Settings) -> NDArray[np.float64]:
    """The mixtures of a view, (F, J, M, 5)."""
    kind = next((kind for kind in KINDS if kind in view), None)
    if kind is None:
        raise ValueError(f"{where}: none of {', '.join(KINDS)} in it")
    J = view[kind].shape[2 if kind == "samples" else 1]
    if joints != J:
        raise ValueError(f"{where}: {kind} of {J} joints, but the skeleton has {joints}")
    size = torch.tensor(attribute(where, view, "image_size"), dtype=torch.float64)
    parts = []
    for first in range(0, len(view[kind]), CHUNK):
        evidence = torch.from_numpy(np.array(view[kind][first : first + CHUNK]))
        if not evidence.isfinite().all():
            frame = first + int((~evidence.isfinite()).flatten(1).any(1).nonzero()[0])
            raise ValueError(f"{where}: {kind} of frame {frame} are not finite")
        if kind == "heatmaps":
            mixture = of_heatmaps(where, evidence, view, first, size, settings)
        elif kind == "samples":
            mixture = from_samples(evidence, settings.components, seed=settings.seed)
        else:
            mixture = point_mixture(evidence.double(), float(DETECTED * size[0]))
        weights = mixture["weights"].unsqueeze(-1)
        parts.append(torch.cat([weights, mixture["loc"], mixture["scale"]], -1).double().numpy())
    if not parts:
        raise ValueError(f"{where}: no frames")
    return np.concatenate(parts)


def of_heatmaps(
    where: str, maps: Tensor, view: View, first: int, size: Tensor, settings: Settings
) -> Mixture:
    """The mixtures of some maps of a view, from frame `first` on."""
    width, height = (int(n) for n in attribute(where, view, "size"))
    codec = Codec(str(attribute(where, view, "codec")), (width, height), width // maps.shape[3])
    if "affine" not in view:
        raise ValueError(f"{where}: heatmaps need affine (F, 2, 3), from image to crop pixels")
    matrix = np.array(view["affine"][first : first + len(maps)], dtype=np.float64)
    affine, sizes = torch.from_numpy(matrix), size.expand(len(maps), 2)
    return from_heatmaps(
        maps, codec, affine, sizes, settings.components, settings.samples, settings.seed
    )[0]


def read(path: Path) -> tuple[str, Iterator[tuple[str, View]]]:
    """The skeleton of an evidence file, and its views by name, one at a time."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of evidence")
    if path.suffix == ".npz":
        return "h36m17", videopose3d(path)
    with hdf5_door.opened(path, "write it again") as root:  # which also checks all of it
        about = root.attributes()
    if "skeleton" not in about:
        raise ValueError(f"{path}: its attribute skeleton is missing")
    file = h5py.File(path)
    names: list[str] = []
    with reading(path, "its groups cannot be read"):
        file.visititems(lambda name, node: names.append(name) if is_view(node) else None)
    if not names:
        raise ValueError(f"{path}: no group /subject/clip/camera with any of {', '.join(KINDS)}")
    views = ((name, {**file[name], "about": {**file.attrs, **file[name].attrs}}) for name in names)
    return str(file.attrs["skeleton"]), views


def is_view(node: Any) -> bool:
    return isinstance(node, h5py.Group) and any(
        isinstance(part, h5py.Dataset) for part in node.values()
    )


def videopose3d(path: Path) -> Iterator[tuple[str, View]]:
    content = read_npz(path).get("positions_2d")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: no dict `positions_2d`")
    for subject, clips in content.items():
        for clip, cameras in mapping(f"{path}: {subject}", clips).items():
            cameras = list(cameras) if isinstance(cameras, np.ndarray) else cameras
            cameras = listing(f"{path}: {subject}/{clip}", cameras)
            if len(cameras) != len(SIZES):
                raise ValueError(f"{path}: {subject}/{clip} must have {len(SIZES)} cameras")
            for (camera, size), points in zip(SIZES.items(), cameras, strict=True):
                yield (
                    f"{subject}/{clip}/{camera}",
                    {"keypoints": points, "about": {"image_size": size}},
                )


def attribute(where: str, view: View, name: str) -> Any:
    if name not in view["about"]:
        raise ValueError(f"{where}: the attribute {name} is missing in the group and in the file")
    return view["about"][name]


def standardised(where: str, view: View, mixture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Error of the heaviest component in units of its scale, (F, J, 2)."""
    if "target" not in view:
        raise ValueError(f"{where}: no target (F, J, 2), the true 2D, which --residuals needs")
    heaviest = mixture[..., :1].argmax(-2, keepdims=True)
    best = np.take_along_axis(mixture, heaviest, -2)[..., 0, :]
    return (np.asarray(view["target"], dtype=np.float64) - best[..., 1:3]) / best[..., 3:]


def factors(path: Path, joints: int) -> NDArray[np.float64]:
    """RMS of the standardised residuals in a file, (J, 2)."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of residuals; --residuals writes one")
    z = read_npz(path).get("standardised")
    if not isinstance(z, np.ndarray) or z.ndim != 3 or z.shape[1:] != (joints, 2) or not len(z):
        raise ValueError(
            f"{path}: `standardised` must be (N, {joints}, 2): write it with --residuals"
        )
    if not np.isfinite(z).all():
        raise ValueError(f"{path}: `standardised` has numbers that are not finite")
    return np.sqrt(np.square(z.astype(np.float64)).mean(0)).clip(1e-6)


if __name__ == "__main__":
    main()

"""The lines of a command before it begins: its model, the encoder in it, and the device."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint, run_folder
from posediff.diffusion import Model


def model(folder: Path, label: str = "model") -> str:
    """A model folder on one line: path, method, data and date; a second one names its encoder."""
    return "\n".join(_lines(checkpoint.about(folder), label))


def used(folder: Path) -> str:
    """`model`, and the recalibration of its hypotheses, which predictions apply."""
    return "\n".join(_lines_used(checkpoint.about(folder)))


def estimation(
    models: Mapping[str, Model], boxes: str, draws: str, chosen: torch.device
) -> tuple[str, ...]:
    """Makers of the people of a picture, in lines: the models by role, with `used` of those that
    were loaded; what found the boxes, the draws and the device."""
    every = list[str]()
    for role, one in models.items():
        every += _lines_used(one.about) if one.about else [f"{'model':8} {role}, not of a folder"]
    return *every, f"{'boxes':8} {boxes}", f"{'draws':8} {draws}", device(chosen)


def _lines(about: Mapping[str, Any], label: str = "model") -> list[str]:
    first = f"{label:8} {about['folder']} ({described(about)}, {about['date']})"
    inside = (f"{'encoder':8} {source}, inside the model" for source in about.get("encoders", []))
    return [first, *inside]


def _lines_used(about: Mapping[str, Any]) -> list[str]:
    if (found := about.get(checkpoint.RECALIBRATION)) is None:
        return _lines(about)
    spread = (
        f"{'spread':8} {spread_change(found['factors'])} (recalibrated on {found['samples']} "
        f"{found['split']} samples)"
    )
    return [*_lines(about), spread]


def spread_change(factors: Sequence[float]) -> str:
    """The effect of a recalibration, in words."""
    near, far = factors[0], factors[-1]
    return f"hypotheses {near:.2f} (near) to {far:.2f} (far) times as far from their mean"


def described(about: Mapping[str, Any]) -> str:
    """Task, method and training data: lift3d paper, trained on mocap with noisy 2D."""
    data = about["dataset"]
    what = " ".join(about[key] for key in ("task", "method") if about.get(key))
    trained = f", trained on {data['name']}" if "name" in data else ""
    keypoints = f" with {data['keypoints']} 2D" if "keypoints" in data else ""
    frames = f", windows of {data['window']} frames" if data.get("window", 1) > 1 else ""
    return f"{what}{trained}{keypoints}{frames}"


def encoders(folders: Mapping[str, Path]) -> str:
    """The encoders that a training starts with, one a line."""
    return "".join(f"{model(folder, 'encoder')}\n" for folder in folders.values())


def names(folders: Mapping[str, Path]) -> list[str]:
    """Their entries in config.json."""
    return [run_folder.name_of(folder) for folder in folders.values()]


def device(chosen: torch.device) -> str:
    """The device on one line."""
    if chosen.type == "cuda":
        return f"{'device':8} {chosen} ({torch.cuda.get_device_name(chosen)})"
    threads = torch.get_num_threads()
    return f"{'device':8} {chosen}, {threads} thread{'s' * (threads > 1)}"

"""The lines of a command before it begins: its model, the encoder in it, and the device."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from posediff import checkpoint, run_folder


def model(folder: Path, label: str = "model") -> str:
    """A model folder on one line: path, method, data and date; a second one names its encoder."""
    saved = checkpoint.read_config(folder)
    line = f"{label:8} {folder} ({described(saved)}, {date(folder, saved)})"
    return line + "".join(
        f"\n{'encoder':8} {source}, inside the model" for source in saved.get("encoders", [])
    )


def used(folder: Path) -> str:
    """`model`, and the recalibration of its hypotheses, which predictions apply."""
    found = checkpoint.read_config(folder).get(checkpoint.RECALIBRATION)
    if found is None:
        return model(folder)
    return (
        f"{model(folder)}\n{'spread':8} hypotheses {found['factor']:.2f} times as far from their "
        f"mean (recalibrated on {found['samples']} {found['split']} samples, {found['steps']} "
        "steps)"
    )


def described(saved: Mapping[str, Any]) -> str:
    """Task, method and training data: lift3d paper, trained on mocap with noisy 2D."""
    data = saved["dataset"]
    keypoints = f" with {data['keypoints']} 2D" if "keypoints" in data else ""
    frames = f", windows of {data['window']} frames" if data.get("window", 1) > 1 else ""
    return f"{saved['task']} {saved['method']}, trained on {data['name']}{keypoints}{frames}"


def date(folder: Path, saved: Mapping[str, Any]) -> str:
    """The day on which training began; of folders that do not say so, the day of the file."""
    written = (checkpoint.existing(folder) / "config.json").stat().st_mtime
    return str(saved.get("date") or datetime.fromtimestamp(written).date().isoformat())


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

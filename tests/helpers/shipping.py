"""What a model that was trained here needs before it ships."""

import json

import torch
from safetensors.torch import load_file

from posediff.prepare.model_card import unwritten
from posediff.prepare.provenance import portable


def faults(folder):
    """What is wrong with the folder of a model, one line each."""
    found = [f"the card lacks {title}" for title in unwritten((folder / "README.md").read_text())]
    if not (folder / "log.jsonl").is_file():
        return [*found, "there is no log.jsonl"]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    if not lines or not all("epoch" in line for line in lines):
        found.append("log.jsonl has other lines than epochs")
    for name in ("config.json", "README.md"):
        try:
            portable((folder / name).read_text(), {})
        except ValueError as error:
            found.append(f"{name}: {str(error)[-300:]}")
    entries = load_file(folder / "model.safetensors").items()
    found += [f"{k} is {x.dtype}" for k, x in entries if x.dtype in (torch.float32, torch.float64)]
    return found

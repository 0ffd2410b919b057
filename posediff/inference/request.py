"""The input of `python -m posediff.predict`, and the protocol of the classes that read it.

A task names its reader in `task.input`: a class that takes a `Request`, checks the input before a
model is loaded, and then predicts.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from posediff.diffusion import Model
from posediff.inference.keypoint_units import Units


class Request(NamedTuple):
    """The keys of conf/predict.yaml: those of every reader, and those that some of them read."""

    input: str
    output: str
    seed: int = 0
    boxes: str | Sequence[float] | None = None
    heatmaps: bool = False
    layout: str = "coco17"
    image_size: Sequence[float] | None = None
    camera: Sequence[float] | None = None
    units: Units | None = None


OPTIONAL = frozenset(Request._field_defaults) - {"seed"}


class Reader(Protocol):
    reads: ClassVar[tuple[str, ...]]  # of OPTIONAL

    def __init__(self, request: Request) -> None:
        """Raises FileNotFoundError or ValueError if the input cannot be used."""

    def predict(self, model: Model, about: Mapping[str, Any]) -> Iterator[str]:
        """Write the results into the folder of the request, and yield the lines to print.

        about: the model's `checkpoint` and `method`. Raises ValueError at the end if a part of the
        input could not be used.
        """


def data_settings(model: Model, *keys: str) -> dict[str, Any]:
    """Settings of the data that a model was trained on, such as the size of its crops."""
    return {key: model.trained_on[key] for key in keys}


def output_folder(request: Request) -> Path:
    """The folder of the results, created if it is missing."""
    folder = Path(request.output)
    folder.mkdir(parents=True, exist_ok=True)
    return folder

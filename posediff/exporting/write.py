"""Export: a folder with the graphs of a model, compared with the model itself.

    export.json                   what the graphs read and answer, see `describe`
    encode.onnx   sample.onnx     for ONNX Runtime and others
    encode.pt2    sample.pt2      for torch.export.load: .module()({name: tensor}) -> {name: tensor}

All graphs take batches of any size. Before the folder is written, their answers are compared with
those of the model, for the whole batch and for its first sample alone.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram
from torch.onnx.errors import OnnxExporterError

from posediff.diffusion import Model
from posediff.diffusion.choices import one_of
from posediff.exporting.describe import description
from posediff.exporting.graphs import Graph, Tensors, graphs
from posediff.files import replacing_folder, write_json
from posediff.sample import Sample

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # of the extra `export`
TOLERANCE = 1e-4  # of the largest number of an answer, or of 1
Run = Callable[[Tensors], Tensors]


@torch.no_grad()
def export(
    model: Model,
    folder: Path | str,
    sample: Sample,
    formats: Sequence[str] = ("onnx", "torch"),
    tolerance: float = TOLERANCE,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the graphs of a model with its steps, K and rule, and return the content of
    export.json; its `differences` are the largest to the model's answers, by format and output.

    sample: a batch of two samples or more, such as `posediff.lifting_sample` makes; the graphs are
    made for tensors of these shapes, but for the first dimension.

    Raises ValueError if there are fewer samples, a format is unknown, its packages are missing, or
    an answer differs by more than `tolerance`; then nothing is written.
    """
    check(sample, formats)
    model = model.cpu().eval()
    parts, folder = graphs(model, sample), Path(folder)
    with replacing_folder(folder) as beside:
        files = {
            part.name: {name: part.name + SUFFIXES[name] for name in formats} for part in parts
        }
        written = description(model, parts, about or {}, files)
        runs: dict[str, list[Run]] = {name: [] for name in formats}
        for part in parts:
            program = traced(part)
            for name in formats:
                path = beside / files[part.name][name]
                runs[name].append(WRITERS[name](program, part, path, written))
        written["differences"] = differences(parts, runs, tolerance)
        write_json(beside / "export.json", written, indent=1)
    return written


def check(sample: Sample, formats: Sequence[str]) -> None:
    """Raise ValueError if these cannot be exported."""
    for name in formats:
        one_of("formats", name, SUFFIXES)
    if len(sample["id"]) < 2:
        raise ValueError("an export needs two samples or more, to be made for batches of any size")
    lacking = [name for name in PACKAGES if missing(name)]
    if "onnx" in formats and lacking:
        raise ValueError(
            f"ONNX needs {', '.join(lacking)}: pip install 'posediff[export]', or formats=[torch]"
        )


def missing(package: str) -> bool:
    return find_spec(package) is None


def traced(part: Graph) -> ExportedProgram:
    """A graph as torch.export has it. Raises ValueError if it depends on the numbers it reads."""
    batch = {name: {0: Dim("batch")} for name in part.inputs}
    try:
        return torch.export.export(part.module, (part.inputs,), dynamic_shapes=(batch,))
    except (
        torch._dynamo.exc.UserError,
        torch.fx.experimental.symbolic_shapes.GuardOnDataDependentSymNode,
    ) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(
            f"{part.name} is no graph of tensors alone ({why}): choose another rule"
        ) from error


def write_torch(program: ExportedProgram, part: Graph, path: Path, about: Mapping[str, Any]) -> Run:
    torch.export.save(program, path)
    return torch.export.load(path).module()


def write_onnx(program: ExportedProgram, part: Graph, path: Path, about: Mapping[str, Any]) -> Run:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # of packages that are not needed
    try:
        made = torch.onnx.export(
            program,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamo=True,
            verbose=False,
        )
    except OnnxExporterError as error:
        why = str(error.__cause__ or error).partition("\n")[0]
        raise ValueError(f"{part.name} cannot be ONNX ({why}): use formats=[torch]") from error
    assert made is not None  # it is without dynamo alone
    made.model.metadata_props["posediff"] = json.dumps(about)
    made.save(path)
    return onnx_run(path)


def onnx_run(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_outputs()]

    def run(tensors: Tensors) -> Tensors:
        answers = session.run(None, {name: x.numpy() for name, x in tensors.items()})
        return {name: torch.from_numpy(x) for name, x in zip(names, answers, strict=True)}

    return run


WRITERS = {"onnx": write_onnx, "torch": write_torch}


def differences(
    parts: Sequence[Graph], runs: Mapping[str, Sequence[Run]], tolerance: float
) -> dict[str, dict[str, float]]:
    """The largest difference of every output, by format.

    Raises ValueError for one above tolerance * max(1, the largest number of the output).
    """
    found: dict[str, dict[str, float]] = {}
    everything = {name: x for part in parts for name, x in part.inputs.items()}
    for kind, chain in runs.items():
        for rows in (slice(None), slice(1)):
            seen = {name: x[rows].contiguous() for name, x in everything.items()}
            for part, run in zip(parts, chain, strict=True):
                wanted = part.module({name: x[rows] for name, x in part.inputs.items()})
                answer = run({name: seen[name] for name in part.inputs})
                seen |= answer
                for name, x in wanted.items():
                    off = float((answer[name].double() - x.double()).abs().max())
                    if not off <= tolerance * max(1.0, float(x.abs().max())):
                        raise ValueError(
                            f"{part.name} ({kind}): {name} differs by {off:.3g} from the model's, "
                            f"more than tolerance={tolerance}"
                        )
                    figures = found.setdefault(kind, {})
                    figures[name] = max(figures.get(name, 0.0), off)
    return found

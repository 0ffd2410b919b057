"""A whole prediction of every head: as it is, compiled, and exported to ONNX Runtime.

    python benchmarks/exported.py [--batch 1 16] [--rounds 10] [--only image2d] [--compile]

Networks are those of benchmarks/speed.py, with random weights, in the steps and hypotheses of their
configuration. A time is the least of all rounds, of the process's CPU time on one thread, without
the first call. `off` is the largest difference to PyTorch's answer, as a part of its largest number
or of 1. In ONNX Runtime the draws are given, and not timed.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from cost_image2d import milliseconds
from speed import MODELS, TINY, batch_of, ready

from posediff import config, speed
from posediff.diffusion import Model
from posediff.diffusion.head import Sample
from posediff.exporting import write
from posediff.exporting.graphs import ANSWER, graphs

CPU = torch.device("cpu")
HEAD = ("model", "batch", "eager ms", "ONNX Runtime ms", "off", "compiled ms", "off")


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", default="", help="models whose name has this in it")
    parser.add_argument("--compile", action="store_true", help="takes minutes a model")
    parser.add_argument("--tiny", action="store_true", help="small models, to see that it runs")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    models = TINY if args.tiny else MODELS
    for name in [name for name in models if args.only in name]:
        for line in rows(name, models[name], args.batch, args.rounds, args.compile):
            print(line, flush=True)


def rows(
    name: str, overrides: Sequence[str], batches: Sequence[int], rounds: int, compiled: bool
) -> Iterator[str]:
    cfg, model = ready(overrides, CPU)
    data = config.dataset(cfg, "validation")
    samples = [batch_of(data, batch, CPU) for batch in batches]
    plain = [model.predict(sample).keypoints for sample in samples]
    cells = list[list[str]]()
    with tempfile.TemporaryDirectory() as folder:
        write.export(model, Path(folder) / "x", batch_of(data, 3, CPU), ["onnx"])
        for batch, sample in zip(batches, samples, strict=True):
            run, off = in_onnxruntime(model, sample, Path(folder) / "x")
            eager, onnx = timed(rounds, lambda s=sample: model.predict(s), run)
            cells.append([name, str(batch), f"{eager:.4g}", f"{onnx:.4g}", f"{off:.1e}"])
    if compiled:
        speed.compiled_answers([model])
    for row, sample, wanted in zip(cells, samples, plain, strict=True):
        if compiled:
            off = difference(model.predict(sample).keypoints, wanted)
            (quick,) = timed(rounds, lambda s=sample: model.predict(s))
            row += [f"{quick:.4g}", f"{off:.1e}"]
        yield f"| {' | '.join(row + ['-'] * (len(HEAD) - len(row)))} |"


def timed(rounds: int, *calls: Callable[[], object]) -> list[float]:
    return milliseconds(calls, rounds, CPU, alone=True)


def in_onnxruntime(
    model: Model, sample: Sample, folder: Path
) -> tuple[Callable[[], object], float]:
    """Both graphs in a row for a sample, and the difference of their poses to PyTorch's."""
    import onnxruntime

    parts = graphs(model, sample)
    one = onnxruntime.SessionOptions()
    one.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(
            folder / f"{part.name}.onnx", one, providers=["CPUExecutionProvider"]
        )
        for part in parts
    ]
    values = {k: x.numpy() for part in parts for k, x in part.inputs.items()}

    def run() -> torch.Tensor:
        known = dict(values)
        for session in sessions:
            names = [x.name for x in session.get_outputs()]
            given = {x.name: known[x.name] for x in session.get_inputs()}
            known |= zip(names, session.run(names, given), strict=True)
        return torch.from_numpy(known[f"{ANSWER}keypoints"])

    return run, difference(run(), parts[-1].outputs[f"{ANSWER}keypoints"])


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).abs().max() / max(1.0, float(wanted.abs().max())))


if __name__ == "__main__":
    main()

"""Use of a machine: by a training its threads, workers, precision, memory format and compilation,
and compilation of the answers of a trained model.

trainer.machine=auto asks `suited` and prints what it picked; each of these keys may also be set.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from posediff.data.pictures.picture_memory import MEMORY
from posediff.diffusion import Model
from posediff.diffusion.choices import one_of
from posediff.recomputation import recompute

MOST_WORKERS = 8  # processes that load data for one GPU


@dataclass(frozen=True)
class Settings:
    """Settings that suit a machine, by the keys of `trainer`."""

    threads: int
    workers: int
    precision: Literal["float32", "bfloat16"]
    channels_last: bool

    def __str__(self) -> str:
        layout = "channels-last" if self.channels_last else "contiguous"
        return f"{self.threads} threads, {self.workers} workers, {self.precision}, {layout}"


def suited(device: torch.device, model: nn.Module) -> Settings:
    """The settings for a device of this machine and a model.

    On a CPU all cores compute: a process that loads data would take one of them. Channels-last is
    used where the model has convolutions, and bfloat16 where the hardware multiplies it
    (benchmarks/README.md).
    """
    cores, gpu = usable_cores(), device.type == "cuda"
    workers = max(0, min(MOST_WORKERS, cores - 1)) if gpu else 0
    convolves = any(isinstance(part, nn.Conv2d) for part in model.modules())
    precision: Literal["float32", "bfloat16"] = "bfloat16" if has_bfloat16(device) else "float32"
    return Settings(cores - workers if gpu else cores, workers, precision, convolves)


def usable_cores() -> int:
    """The cores that this process may use: its part of them beside others of torchrun."""
    affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def has_bfloat16(device: torch.device) -> bool:
    """True if the hardware multiplies matrices of bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "AVX512" in known and bool(native())


def use(trainer: Any, model: Model, device: torch.device) -> str:
    """Apply the keys of `trainer` to this process and a model, those of `suited` first if
    `trainer.machine` is auto; returns lines that say what was done, or what makes it slow, or
    nothing."""
    lines = []
    one_of("trainer.machine", trainer.machine, ("as_set", "auto"))
    if trainer.machine == "auto":
        picked = suited(device, model)
        trainer.threads, trainer.channels_last = picked.threads, picked.channels_last
        trainer.recipe.workers, trainer.recipe.precision = picked.workers, picked.precision
        lines.append(f"trainer.machine=auto: {picked}")
    elif trainer.recipe.precision == "bfloat16" and not has_bfloat16(device):
        lines.append(
            f"trainer.recipe.precision=bfloat16: this {device.type} does not multiply bfloat16, "
            "and is far slower with it than with trainer.recipe.precision=float32"
        )
    if trainer.threads is not None:
        if trainer.threads < 1:
            raise ValueError(f"trainer.threads must be 1 or more, or null, got {trainer.threads}")
        torch.set_num_threads(trainer.threads)
    if trainer.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    MEMORY.limit = 1e6 * trainer.cache.pictures_mb / max(1, trainer.recipe.workers)
    if trainer.recompute:
        recompute(model)
    if trainer.compile:
        lines.append(compiled(model, device))
    return "".join(f"{line}\n" for line in lines)


def compiled(model: nn.Module, device: torch.device, backend: str = "inductor") -> str:
    """Let a model compile its loss at the first call. Returns a line that says whether it does.

    Without a working compiler the model stays as it is, and so does every part of it that cannot be
    compiled.
    """
    why = compiler_error(device, backend)
    if why:
        return f"trainer.compile: no compiler works here ({why}), so nothing is compiled"
    model.compile(backend=backend)
    return "trainer.compile: the first steps compile the model"


def compiled_answers(models: Iterable[Model], backend: str = "inductor") -> str:
    """Let models compile what they compute for an answer, at the first one: the encoding of a
    sample and a step. Returns a line that says whether they do, as `compiled`.

    Each is compiled once for single rows and once, or once for few and once for many, for all other
    numbers of rows. What a flip test counts stays outside.
    """
    for model in models:
        device = next(model.parameters()).device
        if why := compiler_error(device, backend):
            return f"compile  no compiler works here ({why}), so nothing is compiled"
        head = getattr(model.head, "head", model.head)
        for name in ("forward",) if model.sampler is None else ("encode", "denoise"):
            setattr(head, name, for_all_sizes(getattr(head, name), device, backend))
    return "compile  the models are compiled before the first answer, which may take minutes"


def for_all_sizes(
    function: Callable[..., Any], device: torch.device, backend: str
) -> Callable[..., Any]:
    """A function of tensors (B, ...) and mappings of these, compiled for B = 1 and for all other B;
    on a GPU it is a CUDA graph for each B, which writes into the same memory again, hence the
    copies."""
    gpu = device.type == "cuda"
    quick: Callable[..., Any] = torch.compile(
        function, backend=backend, mode="reduce-overhead" if gpu else None
    )

    def run(*inputs: Any) -> Any:
        seen = [computed(x) if isinstance(x, Mapping) else x for x in inputs]
        tree_map_only(Tensor, lambda x: torch._dynamo.maybe_mark_dynamic(x, 0), seen)
        answer = quick(*seen)
        return tree_map_only(Tensor, Tensor.clone, answer) if gpu else answer

    return run


def computed(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample or context without its names, whose lists would be compiled for one length alone."""
    return {key: x for key, x in sample.items() if key not in ("id", "meta")}


def compiler_error(device: torch.device, backend: str) -> str:
    """Reason why a small function cannot be compiled, or an empty string; then parts of others that
    cannot be compiled run as they are."""
    double: Callable[[torch.Tensor], torch.Tensor] = torch.compile(lambda x: 2 * x, backend=backend)
    torch._dynamo.config.suppress_errors = False
    try:
        double(torch.ones(3, device=device))
    except Exception as error:  # of any kind: a missing compiler, header or driver
        return str(error).strip().partition("\n")[0] or type(error).__name__
    finally:
        torch._dynamo.config.suppress_errors = True
    return ""

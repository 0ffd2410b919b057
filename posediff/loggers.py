"""Copies of log.jsonl for other programs, and its learning curves as a picture.

log.jsonl is the log of a training. After every epoch its new lines are passed on, each once and in
order, and curves.png is drawn again. A training that is resumed passes on all lines from the
beginning: what a logger had of it is replaced, so it too has every line once. A logger or a picture
that fails is left out with a warning, and ends no training.

    {"step": 7, "loss": ...}       train/loss at step 7
    {"epoch": 1, "mpjpe": ...}     epoch/mpjpe at epoch 1
"""

import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from posediff import run_folder
from posediff.visual.learning_curves import draw_learning_curves
from posediff.visual.pose3d import write_picture

CURVES = "curves.png"


class Logger(Protocol):
    def step(self, step: int, figures: Mapping[str, float]) -> None: ...
    def epoch(self, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        """step: the number of steps before the end of this epoch."""

    def picture(self, epoch: int, name: str, pixels: Any) -> None:
        """pixels: (h, w, 3) RGB, uint8."""

    def close(self) -> None: ...


class TensorBoard:
    """Event files in <run>/tensorboard; `tensorboard --logdir runs` shows them."""

    def __init__(self, folder: Path) -> None:
        needs("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        place = folder / "tensorboard"
        shutil.rmtree(place, ignore_errors=True)
        self.writer: Any = SummaryWriter(place)

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(f"train/{name}", value, step)

    def epoch(self, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(f"epoch/{name}", value, epoch)
        self.writer.flush()

    def picture(self, epoch: int, name: str, pixels: Any) -> None:
        self.writer.add_image(name, pixels, epoch, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases with the name of the run folder.

    mode: `offline` keeps it in <run>/wandb, from where `wandb sync` uploads it; `online` uploads
    at once, and a resumed training goes on with the same run.
    """

    def __init__(self, folder: Path, project: str, mode: str = "offline") -> None:
        needs("wandb")
        import wandb

        shutil.rmtree(folder / "wandb", ignore_errors=True)
        name = "-".join(folder.absolute().parts[-3:])
        self.run: Any = wandb.init(
            project=project,
            name=name,
            id=name if mode == "online" else None,
            resume="allow" if mode == "online" else None,
            dir=folder,
            mode=mode,  # type: ignore[arg-type]
            config=run_folder.config(folder),
        )
        self.known = self.run.step  # a run that goes on has the steps before

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        self._log(step, {f"train/{name}": value for name, value in figures.items()})

    def epoch(self, epoch: int, step: int, figures: Mapping[str, float]) -> None:
        named = {f"epoch/{name}": value for name, value in figures.items()}
        self._log(step, {"epoch": epoch, **named})

    def picture(self, epoch: int, name: str, pixels: Any) -> None:
        import wandb

        self.run.log({name: wandb.Image(pixels), "epoch": epoch})

    def _log(self, step: int, figures: Mapping[str, float]) -> None:
        if step >= self.known:
            self.run.log(dict(figures), step=step)

    def close(self) -> None:
        self.run.finish()


def needs(package: str) -> None:
    """Raise ValueError if the package of a logger is not installed."""
    if find_spec(package) is None:
        raise ValueError(
            f"trainer.loggers: {package} is not installed: pip install 'posediff[{package}]', or "
            "leave it out"
        )


@contextmanager
def spared(what: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """A block that a training can do without: an error in it, of any kind `but` these, is said and
    ends nothing."""
    try:
        yield
    except but:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        warnings.warn(f"{what} is left out, the training goes on ({why})", stacklevel=3)


class Follower:
    """Passes on what is new in the log of a run, by a call after every epoch. A logger that fails
    gets nothing more."""

    def __init__(self, folder: Path, monitor: str, loggers: Mapping[str, Logger]) -> None:
        self.folder, self.monitor, self.loggers = folder, monitor, dict(loggers)
        self.passed = self.step = 0

    def __call__(self) -> None:
        with spared(CURVES):
            lines = run_folder.log(self.folder)
            ended = 0
            for line in lines[self.passed :]:
                ended = self._pass_on(line) or ended
            self.passed = len(lines)
            if ended:
                pixels = curves(lines, self.monitor)
                rgb = pixels[..., ::-1].copy()
                self._each(lambda logger: logger.picture(ended, "curves", rgb))
                write_picture(self.folder / CURVES, pixels)

    def close(self) -> None:
        self._each(lambda logger: logger.close())

    def _each(self, tell: Callable[[Logger], None]) -> None:
        """Do this with every logger, and leave out the ones that fail."""
        for name in [*self.loggers]:
            logger = self.loggers.pop(name)
            with spared(f"the logger {name}"):
                tell(logger)
                self.loggers[name] = logger

    def _pass_on(self, line: Mapping[str, Any]) -> int:
        """The epoch that a line ends, 0 for the line of a step."""
        figures = {k: x for k, x in line.items() if k not in ("step", "epoch")}
        numbers = {k: float(x) for k, x in figures.items() if isinstance(x, int | float)}
        if "step" in line:
            self.step = line["step"]
            self._each(lambda logger: logger.step(self.step, numbers))
            return 0
        self._each(lambda logger: logger.epoch(line["epoch"], self.step, numbers))
        return int(line["epoch"])


@contextmanager
def following(
    folder: Path, monitor: str, loggers: Mapping[str, Callable[[], Logger]]
) -> Iterator[Follower]:
    """A follower whose loggers begin here and are closed at the end, however it comes.

    Raises ValueError for a logger that is not installed, or a wrong setting of it.
    """
    follower = Follower(folder, monitor, {})
    for name, begin in loggers.items():
        with spared(f"the logger {name}", but=(ValueError,)):
            follower.loggers[name] = begin()
    try:
        yield follower
    finally:
        follower.close()


def curves(lines: Sequence[Mapping[str, Any]], monitor: str) -> Any:
    """A picture of the training loss and of the figure that selects, over the epochs."""
    epochs = [line for line in lines if "epoch" in line]
    panels = {
        name: {
            label: [(e["epoch"], e[name]) for e in epochs if math.isfinite(e.get(name, math.nan))]
        }
        for name, label in (("loss", "training"), (monitor, "held-out data"))
    }
    return draw_learning_curves({k: c for k, c in panels.items() if any(c.values())})

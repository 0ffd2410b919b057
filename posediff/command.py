"""Commands of a configuration: the place of conf/, and errors of one line."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from posediff import processes, usage
from posediff.verbatim import quoted

_here = Path(__file__).parent.resolve()
# inside the installed package, or beside it in a checkout and an editable install
CONF = str(_here / "conf" if (_here / "conf").is_dir() else _here.parent / "conf")

FULL_ERRORS = os.environ.get("HYDRA_FULL_ERROR", "0") != "0"


def command(primary: str) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Make a command of a function of the configuration conf/<primary>.yaml."""

    def made(task: Callable[[Any], None]) -> Callable[[], None]:
        import hydra
        from hydra.errors import HydraException

        from posediff import corrections

        @wraps(task)
        def guarded(cfg: Any) -> None:  # inside, so that Hydra does not announce the error first
            with one_line_errors():
                check(cfg, primary)
                task(cfg)

        composed = hydra.main(version_base="1.3", config_path=CONF, config_name=primary)(guarded)

        def run() -> None:
            if {"-h", "--help"} & {*sys.argv[1:]}:
                print(usage.help_of(primary), end="")
                return
            sys.argv[1:] = quoted(sys.argv[1:])
            os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits before we see it
            with one_line_errors(), processes.together():
                if processes.count() > 1 and not any(x.startswith("name=") for x in sys.argv):
                    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
                    sys.argv.append("name=" + processes.from_first(now))
                try:
                    composed()
                except HydraException as error:
                    words = sys.argv[1:]
                    raise ValueError(corrections.explained(str(error), primary, words)) from error

        return run

    return made


def check(cfg: Any, primary: str) -> None:
    """Raise ValueError if a choice does not fit the task, or if an option is missing."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from posediff.corrections import refuse_misfit

    choices, head = HydraConfig.get().runtime.choices, cfg.model.get("head") or {}
    refuse_misfit(cfg.task.name, cfg.task.get("reads"), head.get("_target_", ""), choices)
    for key in cfg:
        if OmegaConf.is_missing(cfg, key):
            raise ValueError(f"{key}= is missing; posediff {primary} --help says what it is")


def expected_errors() -> tuple[type[Exception], ...]:
    """Errors that a user can correct: in the input, the files or the overrides."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return (ValueError, OSError, HydraException, OmegaConfBaseException)


def one_line(error: BaseException) -> str:
    """The message of the original error, on one line: Hydra wraps it into its own."""
    from hydra.errors import InstantiationException

    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    text = str(error).split("full_key:")[0].split("Set the environment variable")[0]
    return " ".join(text.split())


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End expected errors in one line and exit code 1; HYDRA_FULL_ERROR=1 shows the traceback.

    A warning is one line, too, without its place in the code.
    """
    before = warnings.formatwarning
    if not FULL_ERRORS:
        warnings.formatwarning = _warning
    try:
        yield
    except expected_errors() as e:
        if FULL_ERRORS:
            raise
        print(f"error: {one_line(e)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            "\nstopped. Training continues with name=<of the run folder> resume=true",
            file=sys.stderr,
        )
        sys.exit(130)
    finally:
        warnings.formatwarning = before


def _warning(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"

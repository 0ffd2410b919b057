"""Commands of a configuration: the place of conf/, and errors of one line."""

import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import update_wrapper
from importlib import import_module
from pathlib import Path
from typing import Any

from posediff import processes, usage
from posediff.doors import limits
from posediff.verbatim import quoted

_here = Path(__file__).parent.resolve()
# inside the installed package, or beside it in a checkout and an editable install
CONF = str(_here / "conf" if (_here / "conf").is_dir() else _here.parent / "conf")

# errors that the wrong kind of value causes
OF_TYPES = (TypeError, KeyError, AttributeError, IndexError, ArithmeticError)
# keys that name what is imported and called: never those of a file
IMPORTED = ("task.input", "task.example", "task.draws")
SEEDS = 2**43  # a step draws by 2**20 times the seed, in 63 bits
FULL_ERRORS = os.environ.get("HYDRA_FULL_ERROR", "0") != "0"


def command(primary: str) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Make a command of a function of the configuration conf/<primary>.yaml."""

    def made(task: Callable[[Any], None]) -> Callable[[], None]:
        import hydra
        from hydra._internal.utils import get_args_parser
        from hydra.errors import HydraException

        from posediff import corrections

        guarded = Guarded(task, primary)
        composed = hydra.main(version_base="1.3", config_path=CONF, config_name=primary)(guarded)

        def run() -> None:
            if {"-h", "--help", "help"} & {*sys.argv[1:]}:
                print(usage.help_of(primary), end="")
                return
            words = sys.argv[1:] = quoted(sys.argv[1:])
            os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits before we see it
            with one_line_errors(primary), processes.together():
                corrections.refuse_flags(words, [*get_args_parser()._option_string_actions])
                if processes.count() > 1 and not any(x.startswith("name=") for x in sys.argv):
                    now = f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
                    sys.argv.append("name=" + processes.from_first(now))
                try:
                    composed()
                except HydraException as error:
                    override = getattr(error, "override", None)  # that cannot be parsed
                    text = f"Error parsing override '{override}'\n" if override else str(error)
                    words = sys.argv[1:]
                    raise ValueError(corrections.explained(text, primary, words)) from error

        run.guarded = guarded  # type: ignore[attr-defined]
        return run

    return made


class Guarded:
    """The function of a command, called by Hydra. Its errors end in one line here, so that Hydra
    does not announce them first; in a sweep the other runs go on, and the first error ends it.

    It is pickled by the name of its module: launchers such as submitit send it to other machines.
    """

    def __init__(self, task: Callable[[Any], None], primary: str) -> None:
        self.task, self.primary = task, primary
        update_wrapper(self, task)

    def __call__(self, cfg: Any) -> None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        if HydraConfig.get().mode == RunMode.MULTIRUN:
            try:
                self._checked(cfg)
            except expected_errors() as error:
                words = " ".join(HydraConfig.get().overrides.task)
                print(f"failed: {words}: {one_line(error)}", file=sys.stderr, flush=True)
                raise
        else:
            with one_line_errors(self.primary):
                self._checked(cfg)

    def _checked(self, cfg: Any) -> None:
        try:
            check(cfg, self.primary)
            self.task(cfg)
        except (*OF_TYPES, ValueError) as error:
            if isinstance(error, OF_TYPES) or isinstance(error.__cause__, OF_TYPES):
                about_null = "NoneType" in str(error)  # else a null is not the cause
                refuse_other_types(cfg, self.primary, null=about_null)
            raise error
        finally:
            with suppress(OSError):  # it holds something
                run_of_command().rmdir()

    def __reduce__(self) -> tuple[Callable[[str], "Guarded"], tuple[str]]:
        spec = self.task.__globals__["__spec__"]  # of a module that runs as __main__, too
        return guarded_of, (spec.name if spec else self.task.__module__,)


def guarded_of(module: str) -> Guarded:
    """The function of the command that a module has as `main`."""
    found: Guarded = import_module(module).main.guarded
    return found


def run_of_command() -> Path:
    """The run folder of this command. Hydra has made it; one that stays empty is removed."""
    from hydra.core.hydra_config import HydraConfig

    return Path(HydraConfig.get().runtime.output_dir)


def check(cfg: Any, primary: str) -> None:
    """Raise ValueError if a choice does not fit the task, or if an option is missing, or of another
    kind where any value would do."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from posediff.corrections import TYPES, refuse_misfit, refuse_mistyped
    from posediff.pose.skeleton import SKELETONS

    limits.use(OmegaConf.to_container(cfg.limits, resolve=True))  # type: ignore[arg-type]
    if primary != "predict" and OmegaConf.is_missing(cfg.dataset, "skeleton"):
        raise ValueError(
            f"dataset={cfg.dataset.name} needs dataset.skeleton, the layout of its joints: one of "
            f"{', '.join(SKELETONS)}"
        )
    refuse_mistyped({key: OmegaConf.select(cfg, key) for key in TYPES})
    if not 0 <= cfg.seed < SEEDS:
        raise ValueError(f"seed={cfg.seed}: must be in 0 .. {SEEDS - 1}")
    choices, head = HydraConfig.get().runtime.choices, cfg.model.get("head") or {}
    refuse_misfit(cfg.task.name, cfg.task.get("reads"), head.get("_target_", ""), choices)
    for key in cfg:
        if OmegaConf.is_missing(cfg, key):
            raise ValueError(f"{key}= is missing; posediff {primary} --help says what it is")
    refuse_other_types(cfg, primary, ["true or false"])  # else the words no and off would be true


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
def one_line_errors(primary: str = "") -> Iterator[None]:
    """End expected errors in one line and exit code 1; HYDRA_FULL_ERROR=1 shows the traceback.
    primary: the configuration of the command, if it has one.

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
        goes_on = "training continues with name=<of the run folder> resume=true"
        how = goes_on if primary == "train" else "no file is left half written"
        print(f"\nstopped; {how}", file=sys.stderr)
        sys.exit(130)
    finally:
        warnings.formatwarning = before


def _warning(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"


def require_plain(override: str, groups: Collection[str], where: str) -> None:
    """Raise ValueError for an override from a file that is not an option of `groups` with a plain
    value: no name to be imported, no reference outside of the configuration, no path to one."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        value = parsed.value()
    except HydraException:
        raise ValueError(f"{where}: {override[:200]!r} is not of the form key=value") from None
    key = str(parsed.key_or_group)
    right = bool(re.fullmatch(r"[A-Za-z]\w*([./][A-Za-z]\w*)*", key))
    right &= key not in IMPORTED
    right &= (
        key.partition(".")[0] in groups and not parsed.package and not parsed.is_sweep_override()
    )
    if "." not in key and value is not None:  # the choice of a group
        right &= isinstance(value, str) and bool(re.fullmatch(r"[\w-]+(/[\w-]+)*", value))
    if isinstance(value, int | float):
        limits.refuse_above("setting", where, abs(value), f"the value of {key}")
    if not right or not _is_plain(value):
        raise ValueError(
            f"{where}: {override[:200]!r} is no option of a method with a plain value: it is not "
            "used; give it on the command line if it is yours"
        )


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        keys = [getattr(key, "text", key) for key in value]
        named = all(isinstance(key, str) and not key.startswith("_") for key in keys)
        return named and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    value = getattr(value, "text", value)  # between quotes
    if isinstance(value, str):
        return not re.search(r"\$\{[^}]*[:$]", value)
    return value is None or isinstance(value, bool | int | float)


def refuse_other_types(
    cfg: Any, primary: str, kinds: Collection[str] = (), null: bool = False
) -> None:
    """Raise ValueError for the first option of this command whose value is of another kind than its
    default: a word for a number, a number for a list. `kinds` are those of the defaults to look at,
    () for all; null is of another kind only with `null`."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from posediff import config
    from posediff.corrections import KINDS

    given = config.overrides_given()
    # experiment=[a,b] is no choice of Hydra's, and chooses as they do
    groups = {"experiment"} | {str(key) for key in HydraConfig.get().runtime.choices}
    choices = [x for x in given if config.key_of(x).partition("@")[0] in groups]
    plain = config.compose(primary, choices)
    for override in given:
        key = config.key_of(override)
        before, now = (OmegaConf.select(x, key, throw_on_missing=False) for x in (plain, cfg))
        kind = next((name for name, is_one in KINDS.items() if is_one(before)), None)
        if override in choices or kind is None or (now is None and not null):
            continue
        if kind in (kinds or KINDS) and not KINDS[kind](now):
            raise ValueError(f"{override}: {key} must be {kind}, as {before}, its default")

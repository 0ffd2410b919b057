"""Wrong options of a command: what was meant, and what fits.

A task says in `task.reads` which data sets it reads: those that are made of conf/dataset/lifting,
people or clips. A preset or an experiment is of the task that its head, or its own choice, names.
What is not in conf/, such as a data set of a user's own, is not judged.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

from posediff import command as commands
from posediff.verbatim import exists

SHOWN = 3  # suggestions, at most
NEAR = 0.15  # of the similarity, behind the best
LEAST = 0.55  # similarity of a suggestion
# kinds of values, the narrower first
KINDS: dict[str, Callable[[Any], bool]] = {
    "true or false": lambda x: isinstance(x, bool),
    "an integer": lambda x: isinstance(x, int) and not isinstance(x, bool),
    "a number": lambda x: isinstance(x, int | float) and not isinstance(x, bool),
    "a list": lambda x: isinstance(x, Sequence) and not isinstance(x, str),
    "a group of keys": lambda x: isinstance(x, Mapping),
    "a text": lambda x: isinstance(x, str),
}
# of options that the commands themselves read
TYPES = {
    "seed": "an integer",
    "device": "a text",
    "checkpoint": "a text or null",
    "input": "a text",
    "output": "a text",
    "layout": "a text",
    "image_size": "a list or null",
    "camera": "a list or null",
    "formats": "a list",
    "classes": "a list",
    "trainer.loggers": "a list",
    "trainer.threads": "an integer or null",
    "trainer.train_samples": "an integer or null",
    "trainer.validation_samples": "an integer or null",
    "eval.monitor": "a text",
    "eval.aggregates": "a list",
}
ANY_TASK = ("task=lift3d",)  # the options of the commands themselves are those of every task
COMMANDS = ("train", "eval", "predict", "export")
BASES = ("lifting", "clips", "people")  # of data sets; clips are made of people


def explained(message: str, primary: str, words: Sequence[str]) -> str:
    """Hydra's message about the words of a command, in words of this library."""
    if found := re.search(r"Could not override '([^']+)'", message):
        return wrong_key(found[1], primary, words)
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", message):
        names = [x.strip() for x in re.findall(r"^\t(.+)$", message, re.MULTILINE) if "=" not in x]
        return wrong_choice(found[1], found[2], names)
    if found := re.search(r"You must specify '(\w+)'.*?Available options:\s(.*)", message, re.S):
        every = ", ".join(found[2].split())
        return f"{found[1]}= is missing: choose one of {every}; posediff {primary} --help says more"
    if found := re.search(r"Error parsing override '(.*?)'\n", message, re.S):
        return f"{found[1]}: not of the form key=value; {key_for(found[1], primary)}"
    return message


def key_for(word: str, primary: str) -> str:
    """Advice about a word that is no key=value."""
    for group in ("task", "dataset", "experiment", "preset"):
        if word in names(group):
            return f"did you mean {group}={word}?"
    if exists(word):
        return f"did you mean {'input' if primary == 'predict' else 'checkpoint'}={word}?"
    return "a value with spaces, commas or brackets needs quotes of its own, as in 'name=\"a, b\"'"


def refuse_flags(words: Sequence[str], known: Sequence[str]) -> None:
    """Raise ValueError for a word that begins with a dash and is, or begins, none of the known."""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        flag, _, value = word.partition("=")
        if flag.startswith("-") and not any(name.startswith(flag) for name in known):
            near = get_close_matches(flag, [*known, "--help"], 1)
            own = "VALUE" if "=" in following else following or "VALUE"
            meant = near[0] if near else f"{flag.lstrip('-')}={value or own}"
            raise ValueError(
                f"{flag}: no such option; options are key=value, did you mean {meant}?"
            )


def wrong_choice(group: str, name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, 1)
    meant = f"did you mean {group}={near[0]}? There are" if near else "there are"
    return f"{group}={name}: no such {group}; {meant} {', '.join(names)}"


def wrong_key(key: str, primary: str, words: Sequence[str]) -> str:
    others = [name for name in COMMANDS if name != primary and key in keys(name, ANY_TASK, "")]
    if others:
        begin = "; task.begin= names a model to begin with" if key == "checkpoint" else ""
        return f"{key}: an option of {', '.join(others)}, not of {primary}{begin}"
    meant = similar(key, keys(primary, words, key))
    hint = f"did you mean {' or '.join(meant)}?" if meant else "none is like it."
    return f"{key}: no such option; {hint} posediff {primary} --help and --cfg job list them"


def keys(primary: str, words: Sequence[str], wrong: str) -> list[str]:
    """The keys of the configuration that these words compose without the wrong ones, or none."""
    from posediff import config

    given, unknown = overrides(words), {wrong}
    for _ in given:
        kept = [x for x in given if config.key_of(x) not in unknown]
        try:
            composed: dict[str, Any] = config.unresolved(config.compose(primary, kept))
            return list(dotted(composed))
        except commands.expected_errors() as error:
            found = re.search(r"Could not override '([^']+)'", str(error))
            if not found:
                return []
            unknown.add(found[1])
    return []


def overrides(words: Sequence[str]) -> list[str]:
    """The overrides among words of a command, with its --config-dir as one of them."""
    found = [x for x in words if "=" in x and not x.startswith("-")]
    for flag, folder in zip(words, [*words, ""][1:], strict=True):
        if flag in ("--config-dir", "-cd"):
            found.append(f"hydra.searchpath=['file://{Path(folder).resolve()}']")
    return found


def dotted(tree: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """All keys of a tree: trainer, trainer.recipe, trainer.recipe.epochs."""
    for key, node in tree.items():
        yield f"{at}{key}"
        if isinstance(node, Mapping):
            yield from dotted(node, f"{at}{key}.")


def similar(key: str, known: Sequence[str]) -> list[str]:
    """The known keys that are like a wrong one, by their last word and as a whole, best first."""

    def likeness(other: str) -> float:
        pairs = ((key, other), (key.rpartition(".")[2], other.rpartition(".")[2]))
        return sum(SequenceMatcher(None, a, b).ratio() for a, b in pairs) / 2

    rated = sorted(((likeness(x), x) for x in known), key=lambda pair: -pair[0])
    best = rated[0][0] if rated else 0.0
    return [x for rate, x in rated[:SHOWN] if rate >= max(LEAST, best - NEAR)]


def refuse_misfit(task: str, reads: str | None, head: str, choices: Mapping[str, Any]) -> None:
    """Raise ValueError if the chosen data set, preset or experiment is not one of the task.

    reads: what the task reads; head: the dotted name of the class; choices: names by their groups.
    """
    data = str(choices["dataset"])
    if reads and (kind := kind_of(data)) and kind != reads:
        raise ValueError(
            f"task={task} does not read dataset={data}; those that fit: "
            f"{', '.join(x for x in names('dataset') if kind_of(x) == reads and is_whole(x))}"
        )
    made_for = re.match(r"posediff\.tasks\.(\w+)\.", head)
    if made_for and made_for[1] != task:
        group = "experiment" if choices.get("experiment") else "preset"
        fit = [x for x in names(group) if task_of(group, x) == task]
        raise ValueError(
            f"{group}={choices[group]} is of task {made_for[1]}, not of {task}; those that fit: "
            f"{', '.join(fit)}"
        )


def refuse_mistyped(given: Mapping[str, Any]) -> None:
    """Raise ValueError if a value is not of its kind in TYPES; None is no value, but for a text or
    an integer that must be there."""
    for key, value in given.items():
        kind = TYPES[key]
        if value is None and kind.endswith("or null"):
            continue
        if not KINDS[kind.partition(" or")[0]](value):
            # a key of another command is not there at all
            if value is None and key not in ("seed", "device", "eval.monitor"):
                continue
            raise ValueError(f"{key}={value}: must be {kind}")


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (Path(commands.CONF) / group).glob("*.yaml"))


def text_of(group: str, name: str) -> str:
    """A file of conf/, empty if there is none."""
    path = Path(commands.CONF) / group / f"{name}.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def made_of(group: str, name: str) -> Iterator[str]:
    """The name, and those in its group that it is made of."""
    import yaml

    yield name
    for part in (yaml.safe_load(text_of(group, name)) or {}).get("defaults", []):
        if isinstance(part, str) and part != "_self_":
            yield from made_of(group, part)


def kind_of(data: str) -> str | None:
    parts = {*made_of("dataset", data)}
    return next((base for base in BASES if base in parts), None)


def is_whole(data: str) -> bool:
    """True if a file of conf/dataset is a data set, not a part that several share."""
    return re.search(r"^name:", text_of("dataset", data), re.MULTILINE) is not None


def task_of(group: str, name: str) -> str | None:
    """The task of a preset or an experiment, None if it does not say."""
    pattern = r"override /task: (\w+)|_target_: posediff\.tasks\.(\w+)\."
    for part in made_of(group, name):
        if found := re.search(pattern, text_of(group, part)):
            return found[1] or found[2]
    return None

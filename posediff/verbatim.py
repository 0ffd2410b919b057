"""Paths on a command line, taken as they are whatever letters they have.

The grammar of overrides gives a meaning to brackets, quotes, commas, = and more, so the value of a
key that is a path is quoted before it is parsed. As they are stay: null; [x,y,w,h] for `boxes`; a
value in quotes, of users who quoted it themselves; and `${...}`, a reference to another key. If a
file or folder of exactly this name exists, the value is that path in any case. Choices of a sweep
(-m) are separated by commas and are not quoted.
"""

import re
from collections.abc import Iterable
from pathlib import Path

KEYS = re.compile(
    r"input|output|checkpoint|boxes|paths\.\w+|dataset\.(keypoints|images)|task\.begin"
    r"|(.+\.)?(root|folder|weights|encoder)|dataset\.boxes"
)
GRAMMAR = re.compile(r"null|'.*'|\".*\"|\[[-+\d.eE, ]*\]", re.DOTALL)
PLAIN = re.compile(r"[./]*[A-Za-z][\w./-]*", re.ASCII)  # needs no quotes, but for these words
WORDS = {"null", "true", "false", "inf", "nan"}
SWEEP = {"-m", "--multirun"}


def quoted(words: Iterable[str]) -> list[str]:
    """The words of a command line, with the paths among them quoted."""
    words = list(words)
    return [_quoted(word, bool(SWEEP & {*words})) for word in words]


def _quoted(word: str, sweep: bool) -> str:
    key, equals, value = word.partition("=")
    if not equals or not value or not KEYS.fullmatch(key.lstrip("+")):
        return word
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return word
    there = exists(value)
    if not there and (GRAMMAR.fullmatch(value) or (sweep and "," in value)):
        return word
    return f"{key}={quote(value, references=not there)}"


def quote(value: str, references: bool = False) -> str:
    """The value between quotes, as the grammar of overrides reads it.

    Backslashes before a quote, and at the end, are doubled. Without `references` a `${` has no
    meaning.
    """
    if not references:
        value = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", value)
    inside = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), value)
    return f"'{inside}'"


def exists(value: str) -> bool:
    """True if a file or folder has this name; False for what cannot be a name."""
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False

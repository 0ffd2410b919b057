"""Entries of an annotation file without those that cannot be used, which are said and counted; if
they are more than the part `limits.left_out`, the first is an error."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from posediff.doors.limits import refuse_left_out

Entry = Mapping[str, Any]
Placed = tuple[int, Entry]  # an entry with its place in its list
Result = TypeVar("Result")

SAID = 10  # of what is left out, named at once; all are counted


def without_copies(entries: list[Entry]) -> list[Entry]:
    """The entries without those that equal an earlier one of the same id."""
    try:
        if len({entry.get("id") for entry in entries}) == len(entries):
            return entries
    except TypeError:  # an id that is no id, which is refused later
        return entries
    first: dict[Any, Entry] = {}
    return [x for x in entries if first.setdefault(x.get("id"), x) is x or first[x.get("id")] != x]


def checked_usable(
    entries: list[Placed],
    check: Callable[[list[Placed]], Result],
    what: str,
    both: bool = False,
    strict: bool = False,
) -> tuple[Result, list[str]]:
    """Result of a check for the entries that pass it, alone and beside the others, and why the rest
    do not.

    what: they are, in the plural. both: of two that cannot be beside each other, none is used; else
    the first is. strict: all must pass. Raises ValueError if no entry could pass, or if too many do
    not.
    """
    try:
        return check(entries), []
    except ValueError:
        if strict:
            raise
        check([])
    kept, lost = list[Placed](), list[str]()

    def part(some: list[Placed]) -> None:
        try:
            check(some)
            kept.extend(some)
        except ValueError as error:
            if len(some) == 1:
                lost.append(str(error))
                refuse_left_out(lost, len(entries), what)
                return
            part(some[: len(some) // 2])
            part(some[len(some) // 2 :])

    part(entries)
    kept, more = _without_conflicts(kept, check, both)
    lost += more
    refuse_left_out(lost, len(entries), what)
    result = check(kept)
    say(lost, what)
    return result, lost


def with_pictures(
    entries: list[Placed], images: Sequence[Entry], ids: Collection[Any], gone: Sequence[str]
) -> list[Placed]:
    """The annotations without those of the images that were left out, of which `ids` are not."""
    if not gone:
        return entries
    known = {repr(number) for number in ids}
    every = [image["id"] for image in images if image.get("id") is not None]
    lost = [number for number in every if repr(number) not in known]
    return [placed for placed in entries if placed[1].get("image_id") not in lost]


def say(lost: Sequence[str], what: str) -> None:
    """Warn of what is left out, by the first names."""
    for line in lost[:SAID]:
        warnings.warn(f"left out: {line}", stacklevel=2)
    if lost[SAID:]:
        warnings.warn(f"left out: {len(lost) - SAID} more {what}", stacklevel=2)


def _without_conflicts(
    entries: list[Placed], check: Callable[[list[Placed]], Any], both: bool
) -> tuple[list[Placed], list[str]]:
    """The entries without those that do not pass beside the first of their id, and why."""
    first = dict[str, Placed]()
    gone, lost = set[int](), list[str]()
    for placed in entries:
        one = first.setdefault(repr(placed[1].get("id")), placed)
        if one is placed:
            continue
        try:
            check([one, placed])
        except ValueError as error:
            lost.append(str(error))
            gone |= {placed[0], one[0]} if both else {placed[0]}
    return [placed for placed in entries if placed[0] not in gone], lost

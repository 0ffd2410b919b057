"""People among the entries of files in COCO's form: of annotations by the names of the file's own
categories, of results, which list none, by the name in the entry, else by COCO's number 1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posediff.doors.checks import shown

Entry = Mapping[str, Any]
NAMES = ("category_name", "category")  # of an entry's own category, in results
COCO = 1  # of people


def people_category(categories: Sequence[Entry]) -> Entry:
    """The category of people: that of the name person, else the first with joints, else the first;
    COCO's if there are none."""
    named = [c for c in categories if _is_person(c.get("name"))]
    posed = [c for c in categories if c.get("keypoints")]
    both = [c for c in named if c in posed]
    return next(iter([*both, *named, *posed, *categories]), {"id": COCO})


def people_among(
    path: Path, entries: Sequence[Entry], categories: Sequence[Entry] = (), only: bool = False
) -> tuple[list[tuple[int, Entry]], list[str]]:
    """The entries that are people, with their places, and a note of the others, if there are any.

    only: whether entries of one category are people whatever its number, as those with joints are.
    Raises ValueError if there are entries, and none is of a person.
    """
    own = people_category(categories).get("id", COCO)
    found = {_identity(entry) for entry in entries} - {None}
    if not categories and len(found) == 1 and only and not any(map(_name, entries)):
        own = next(iter(found))
    kept = [(i, entry) for i, entry in enumerate(entries) if _is_of(entry, own)]
    others = len(entries) - len(kept)
    if others and not kept:
        words = ", ".join(sorted({shown(_name(x) or x.get("category_id")) for x in entries}))
        raise ValueError(f"{path}: no entry of category {own}, people, but of {words}")
    note = f"{path}: {others} of {len(entries)} entries left out, of other categories than people"
    return kept, [note] if others else []


def _is_of(entry: Entry, own: Any) -> bool:
    name, number = _name(entry), entry.get("category_id")
    return _is_person(name) if name else number is None or _identity(entry) == own


def _identity(entry: Entry) -> Any:
    number = entry.get("category_id")
    return number if isinstance(number, int | float | str) else None if number is None else ""


def _name(entry: Entry) -> str:
    return next((x for key in NAMES if isinstance(x := entry.get(key), str)), "")


def _is_person(name: Any) -> bool:
    return isinstance(name, str) and name.strip().lower() in ("person", "people", "human")

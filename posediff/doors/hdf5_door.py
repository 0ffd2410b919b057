"""The one way to read HDF5: groups, arrays and attributes, all of them inside the file.

When a file is opened, links to other files, data stored in other files, and arrays that its bytes
cannot contain are refused. A damaged file fails in many ways in h5py; here they are one line.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posediff.doors.checks import SINGLE
from posediff.doors.limits import refuse_array
from posediff.doors.numpy_door import reason

MEMBERS = 1_000_000  # groups and arrays in a file


@contextmanager
def opened(path: Path, remedy: str) -> Iterator["Group"]:
    """The root of a file. `remedy`: what to do about a bad one, in errors.

    Raises FileNotFoundError if there is no such file, ValueError if it cannot be used; so do all
    methods of `Group`.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: {remedy}")
    try:
        file = h5py.File(path, "r")
    except Exception as error:  # h5py and HDF5 fail in many ways on a damaged file
        raise ValueError(f"{path}: cannot be read, {remedy} ({reason(error)})") from None
    try:
        root = Group(file, path, remedy, "")
        root.refuse_foreign()
        yield root
    finally:
        file.close()


class Group:
    """A group of a file; `at` is its place in errors."""

    def __init__(self, node: Any, path: Path, remedy: str, at: str) -> None:
        self.node, self.path, self.remedy, self.at = node, path, remedy, at

    @contextmanager
    def _guarded(self, entry: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if str(error).startswith(str(self.path)):
                raise
            raise self.error(f"{entry} cannot be read ({reason(error)})") from None

    def error(self, problem: str) -> ValueError:
        """The error, to be raised, of something below this group."""
        return ValueError(f"{self.path}: {self.at}{problem}: {self.remedy}")

    def names(self) -> list[str]:
        """Of what it contains, in the order of the file."""
        with self._guarded("its list of entries"):
            return [str(name) for name in self.node]

    def __contains__(self, name: str) -> bool:
        with self._guarded(name):
            return name in self.node

    def is_group(self, name: str) -> bool:
        import h5py

        with self._guarded(name):
            return isinstance(self.node[name], h5py.Group)

    def group(self, name: str) -> "Group":
        import h5py

        with self._guarded(name):
            node = self.node.get(name)
        if not isinstance(node, h5py.Group):
            raise self.error(f"no group {name}" if node is None else f"{name} is no group")
        return Group(node, self.path, self.remedy, f"{self.at}{name}/")

    def groups(self) -> dict[str, "Group"]:
        return {name: self.group(name) for name in self.names()}

    def raw(self, name: Any) -> Any:
        """The content of an array of any type."""
        with self._guarded(name):
            node = self.node[name] if name else None  # by name, or by a reference of MATLAB's
            if node is None or not hasattr(node, "shape"):
                raise self.error(f"no array {name}")
            refuse_foreign(node, f"{self.path}: {self.at}{name}")
            return node[()]

    def array(self, name: str, *shape: int, nan: bool = False) -> NDArray[Any]:
        """An array of numbers of a shape, -1 for any length, each of which float32 can hold.

        nan: whether NaN is one of them.
        """
        found = np.asarray(self.raw(name))
        fits = found.dtype.kind in "biuf" and len(found.shape) == len(shape)
        if not fits or any(n not in (-1, m) for n, m in zip(shape, found.shape, strict=True)):
            wanted = " x ".join("any" if n < 0 else str(n) for n in shape)
            raise self.error(
                f"{name} must be {wanted} numbers, not {found.dtype} of shape {found.shape}"
            )
        if found.dtype.kind == "f" and found.size:
            low, high = found.min(), found.max()  # NaN, if there is one
            if not (low >= -SINGLE and high <= SINGLE):
                good = np.abs(found) <= SINGLE
                bad = ~(good | np.isnan(found)) if nan else ~good
                for place in np.argwhere(bad)[:1]:
                    value = found[tuple(place)]
                    raise self.error(f"{name}{place.tolist()} is {value:g}, no usable number")
        return found

    def attributes(self) -> dict[str, Any]:
        with self._guarded("its attributes"):
            found = {}
            for name in self.node.attrs:
                info = self.node.attrs.get_id(name)
                refuse_array(f"{self.path}: attribute {name}", info.get_storage_size(), 1)
                found[str(name)] = self.node.attrs[name]
            return found

    def numbers(self, attribute: str, count: int) -> NDArray[np.float64]:
        """An attribute of `count` finite numbers."""
        given = np.asarray(self.attributes().get(attribute, ()))
        if (
            given.shape != (count,)
            or given.dtype.kind not in "iuf"
            or not (np.abs(given) <= SINGLE).all()
        ):
            raise self.error(f"its attribute {attribute} must be {count} finite numbers")
        return given.astype(np.float64)

    def refuse_foreign(self) -> None:
        """Raise ValueError for a link to another file, for data that are stored in another, and
        for an array that the file cannot contain; of this group and all below it."""
        import h5py

        count, waiting, seen = 0, [(self.node, self.at)], set()
        with self._guarded("its tree"):
            while waiting:
                group, at = waiting.pop()
                for name in group:
                    place = f"{self.path}: {at}{name}"
                    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                        raise ValueError(f"{place}: a link to another file, which is not followed")
                    node = group.get(name)
                    count += 1
                    if count > MEMBERS:
                        raise self.error(f"more than {MEMBERS:,} entries")
                    if isinstance(node, h5py.Dataset):
                        refuse_foreign(node, place)
                    elif isinstance(node, h5py.Group):
                        number = h5py.h5o.get_info(node.id).addr
                        if number not in seen:
                            seen.add(number)
                            waiting.append((node, f"{at}{name}/"))


def same(attribute: Any, value: str | float) -> bool:
    """Whether an attribute is this text or number; it may be anything, also an array."""
    return not isinstance(attribute, np.ndarray) and bool(attribute == value)


def refuse_foreign(node: Any, place: str) -> None:
    """Raise ValueError for an h5py.Dataset whose data are in another file or of no plausible
    size."""
    if node.external or node.is_virtual:
        raise ValueError(f"{place}: its data are in another file, which is not read")
    refuse_array(place, int(node.size or 0) * node.dtype.itemsize, node.id.get_storage_size())

"""The one way to read HDF5: groups, arrays and attributes, all of them inside the file.

Links to other files are refused when a file is opened; data stored in other files, and arrays that
its bytes cannot contain, when they are read. A damaged file fails in many ways in h5py; here they
are one line.
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
WIDEST = 16  # bytes of a number


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
    root = Group(file, path, remedy, "")
    try:
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
        """Names of what it contains, in the order of the file."""
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
        import h5py

        with self._guarded(name):
            if isinstance(name, str) and name:
                node = h5py.h5o.open(self.node.id, name.encode())
            else:  # a reference of MATLAB's
                node = self.node[name].id if name else None
            if not isinstance(node, h5py.h5d.DatasetID):
                raise self.error(f"no array {name}")
            refuse_foreign(node, f"{self.path}: {self.at}{name}")
            values = _numbers_into(node)
            if values is None:
                return h5py.Dataset(node)[()]
            node.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
            return values

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
        if found.dtype.kind == "f" and not _surely_finite(found):
            good = np.abs(found) <= SINGLE
            bad = ~(good | np.isnan(found)) if nan else ~good
            for place in np.argwhere(bad)[:1]:
                value = found[tuple(place)]
                raise self.error(f"{name}{place.tolist()} is {value:g}, no usable number")
        return found

    def attributes(self) -> dict[str, Any]:
        with self._guarded("its attributes"):
            names = [str(name) for name in self.node.attrs]
        return {name: self._attribute(name) for name in names}

    def _attribute(self, name: str) -> Any:
        import h5py

        with self._guarded(f"its attribute {name}"):
            node = h5py.h5a.open(self.node.id, name.encode())
            refuse_array(f"{self.path}: attribute {name}", node.get_storage_size(), 1)
            values = _numbers_into(node)
            if values is None:
                return self.node.attrs[name]
            node.read(values)
            return values

    def numbers(self, attribute: str, count: int) -> NDArray[np.float64]:
        """An attribute of `count` finite numbers."""
        from h5py import h5a, h5t

        found, name = np.empty(count), attribute.encode()
        with self._guarded(f"its attribute {attribute}"):
            good = bool(h5a.exists(self.node.id, name))
            if good:
                node = h5a.open(self.node.id, name)
                good = (
                    node.shape == (count,)
                    and node.get_type().get_class() in (h5t.INTEGER, h5t.FLOAT)
                    and node.get_storage_size() <= WIDEST * count
                )
                if good:
                    node.read(found)
        if not good or not np.abs(found).max() <= SINGLE:  # also of NaN
            raise self.error(f"its attribute {attribute} must be {count} finite numbers")
        return found

    def refuse_foreign(self) -> None:
        """Raise ValueError for a link to another file, in this group and all below it."""
        from h5py import h5l

        count, inside = 0, (h5l.TYPE_HARD, h5l.TYPE_SOFT)

        def foreign(name: bytes, link: Any) -> bytes | None:
            nonlocal count
            count += 1
            return None if link.type in inside and count <= MEMBERS else name

        with self._guarded("its tree"):
            found = self.node.id.links.visit(foreign, info=True)  # every link once, none followed
        if count > MEMBERS:
            raise self.error(f"more than {MEMBERS:,} entries")
        if found is not None:
            place = f"{self.at}{found.decode('utf-8', 'replace')}"
            raise ValueError(f"{self.path}: {place}: a link to another file, which is not followed")


def _numbers_into(node: Any) -> NDArray[Any] | None:
    """A place for the content of an h5py DatasetID or AttrID, if it is an array of numbers: these
    are read at the lowest level, since h5py's usual way takes twice the time for a megabyte."""
    shape, kind = node.shape, node.dtype
    return np.empty(shape, kind) if shape and min(shape) and kind.kind in "iuf" else None


def _surely_finite(values: NDArray[Any]) -> bool:
    """True if the sum of squares is finite in float32, or in the array's own type: then all numbers
    are, too. One pass, a fifth of the time of a comparison of each number."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.float32(np.dot(flat, flat))))


def same(attribute: Any, value: str | float) -> bool:
    """True if an attribute is this text or number; it may be anything, also an array."""
    return not isinstance(attribute, np.ndarray) and bool(attribute == value)


def refuse_foreign(node: Any, place: str) -> None:
    """Raise ValueError for an h5py DatasetID whose data are in another file or of no plausible
    size."""
    from h5py import h5d

    made = node.get_create_plist()
    layout, stored = made.get_layout(), node.get_storage_size()
    if layout == h5d.VIRTUAL or made.get_external_count():
        raise ValueError(f"{place}: its data are in another file, which is not read")
    size = stored
    if layout != h5d.CONTIGUOUS or not stored:  # else all of it is stored
        space = node.get_space()
        count = space.get_simple_extent_npoints() if space.is_simple() else 0
        size = count * node.get_type().get_size()
    refuse_array(place, size, stored)

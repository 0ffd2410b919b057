"""Objects that numpy writes are read back equal under every protocol; code is refused unread."""

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from posediff.data.lifting.pickles import read_npz, read_pickle

RNG = np.random.default_rng(0)


def read(value: object, protocol: int = 4) -> object:
    return read_pickle(io.BytesIO(pickle.dumps(value, protocol)), "mem")


@pytest.mark.parametrize("protocol", range(6))
def test_all_that_numpy_pickles_is_read_equal_under_every_protocol(protocol):
    a = RNG.normal(size=(4, 3, 2)).astype(np.float32)
    ragged = np.empty(2, dtype=object)
    ragged[:] = [a[:1], a[:3]]
    tree = {
        "S1": {
            "Walking 1": a,
            "turned": np.asfortranarray(a),
            "cut": a[::2],
            "big": a.astype(">f8"),
        },
        "list": [
            np.arange(3),
            np.zeros((0, 17, 2)),
            np.array(["ab", "c"]),
            np.array([True, False]),
        ],
        "ragged": ragged,
        "scalars": (np.float32(1.5), np.int64(-3), np.str_("h36m"), np.bool_(True)),
        "plain": (1, 2**70, 0.5, None, True, "Gr\u00fc\u00dfe", b"\xff\x00", b""),
        np.int64(7): "key",
    }
    got = read(tree, protocol)
    tree["ragged"] = ragged.tolist()
    assert got["ragged"].dtype == object
    np.testing.assert_equal(got | {"ragged": got["ragged"].tolist()}, tree)
    assert got["S1"]["big"].dtype == np.dtype(">f8")
    assert [type(v) for v in got["scalars"]] == [float, int, str, bool]


def test_python_2_and_numpy_1_pickles_are_read():
    """Written by hand as Python 2.7 wrote {'S1': array([1., 2.], float32)} under protocol 2."""
    text = (
        b"\x80\x02}U\x02S1cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\x00@tbs."
    )
    np.testing.assert_equal(
        read_pickle(io.BytesIO(text), "py2"), {"S1": np.array([1, 2], np.float32)}
    )


def test_an_npz_has_plain_and_object_arrays(tmp_path):
    poses = {"S9": {"Photo": RNG.normal(size=(2, 32, 3)).astype(np.float32)}}
    list_of_arrays = np.array([np.ones(2), np.ones(3)], dtype=object)
    np.savez(tmp_path / "a.npz", positions_3d=poses, fps=np.array(50), ragged=list_of_arrays)
    got = read_npz(tmp_path / "a.npz")
    np.testing.assert_equal(got["positions_3d"], poses)
    assert got["fps"] == 50
    assert [len(a) for a in got["ragged"]] == [2, 3]


class Writes:
    """Its pickle creates a file when it is run by the standard unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_calls_a_function_is_refused_with_file_and_name(tmp_path):
    trap = tmp_path / "written"
    evil = np.array({"S1": [np.zeros(3), Writes(trap)]}, dtype=object)
    np.savez(tmp_path / "evil.npz", positions_3d=evil)
    with pytest.raises(
        ValueError, match=r"evil\.npz: positions_3d: .* names (posix|nt)\.mkdir"
    ) as e:
        read_npz(tmp_path / "evil.npz")
    assert "\n" not in str(e.value)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Writes(trap)))
    assert trap.exists()  # the standard unpickler does run it


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1),
        {1, 2},
        frozenset((1,)),
        np.zeros(2, dtype=[("x", "f4")]),
        np.datetime64("2020-01-01"),
        1j,
        Path("x"),
        np.ndarray,
        np.random.RandomState(0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_that_are_neither_array_nor_plain_are_refused(value):
    with pytest.raises(ValueError, match=r"^mem: cannot be read"):
        read([value])


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02cnumpy\ndtype\n(NU\x03abcK\x01stb.",  # a state for the class itself
        b"\x80\x02c_codecs\nencode\nN}U\x07__new__K\x01s\x86b.",  # an attribute set on the class
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",  # an array that is never filled
        b"\x80\x02cnumpy\ndtype\nU\x02f4\x85R(K\x03U\x03f4,tb.",  # two types in one
        b"\x80\x02]q\x00h\x00a.",  # a list inside itself
        b"\x80\x02cnumpy\ndtype.newbyteorder\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__base__\x93.",
        b"garbage",
        b"",
    ],
)
def test_broken_and_crafted_streams_are_errors_of_one_line(program):
    with pytest.raises(ValueError, match=r"^mem: cannot be read: \S") as e:
        read_pickle(io.BytesIO(program), "mem")
    assert "\n" not in str(e.value)
    np.testing.assert_equal(read(np.ones(2), 2), np.ones(2))  # later reads are not affected


def test_a_file_that_is_no_npz_is_named(tmp_path):
    (tmp_path / "b.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"b\.npz: cut short or no NumPy file"):
        read_npz(tmp_path / "b.npz")


def test_what_the_pickle_shares_is_made_once():
    a = np.ones(5)
    got = read([a, a, {"again": a}])
    assert got[0] is got[1] is got[2]["again"]

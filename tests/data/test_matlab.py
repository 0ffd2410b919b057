"""MATLAB's two kinds of files, whole and damaged."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from posediff.data.matlab import read_mat


@pytest.fixture
def content():
    cell = np.empty((2, 1), dtype=object)
    cell[0, 0], cell[1, 0] = np.arange(6.0).reshape(2, 3), np.ones((1, 4))
    return {"numbers": np.arange(24.0).reshape(2, 3, 4), "cell": cell}


def classic(path, content):
    savemat(path, content)


def hdf5(path, content):
    """As MATLAB writes it: dimensions reversed, the entries of a cell behind references."""
    with h5py.File(path, "w") as file:
        file["numbers"] = content["numbers"].T
        parts = [
            file.create_dataset(f"#refs#/{i}", data=x.T) for i, x in enumerate(content["cell"].flat)
        ]
        references = file.create_dataset("cell", (1, len(parts)), dtype=h5py.ref_dtype)
        for i, part in enumerate(parts):
            references[0, i] = part.ref


@pytest.mark.parametrize("write", [classic, hdf5])
def test_numbers_and_cells_of_both_kinds_have_matlabs_shape(write, content, tmp_path):
    write(tmp_path / "x.mat", content)
    found = read_mat(tmp_path / "x.mat", ("numbers", "cell", "absent"))
    assert set(found) == {"numbers", "cell"}
    np.testing.assert_array_equal(found["numbers"], content["numbers"])
    for mine, given in zip(found["cell"], content["cell"].flat, strict=True):
        np.testing.assert_array_equal(mine, given)


@pytest.mark.parametrize("write", [classic, hdf5])
def test_a_file_cut_short_is_an_error_of_one_line(write, content, tmp_path):
    path = tmp_path / "x.mat"
    write(path, content)
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"x\.mat: cannot be read.*again") as e:
            read_mat(path, ("numbers", "cell"))
        assert "\n" not in str(e.value)


def test_what_is_missing_or_not_numeric_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.mat is missing"):
        read_mat(tmp_path / "none.mat", ("x",))
    savemat(tmp_path / "x.mat", {"x": "text"})
    with pytest.raises(ValueError, match=r"x\.mat: x must be numeric"):
        read_mat(tmp_path / "x.mat", ("x",))

"""Sizes that a file claims are checked before memory is taken; the limit is named."""

import io
import json
import struct
import zipfile
import zlib

import cv2
import h5py
import numpy as np
import pytest
import torch
from helpers import fuzz, readers

from posediff import checkpoint
from posediff.data import matlab
from posediff.data.pictures import picture_files
from posediff.doors import hdf5_door, limits, numpy_door
from posediff.doors.json_door import read_json

HUGE = (10**9, 17, 3)


@pytest.fixture(autouse=True)
def little_memory():
    """Fails if a test takes more than a case of the fuzz test may."""
    fuzz.reset_peak()
    before = fuzz.status("VmRSS")
    yield
    assert fuzz.status("VmHWM") - before < fuzz.MEMORY


@pytest.fixture
def limit():
    """Sets limits for a test."""
    before = vars(limits.CURRENT).copy()
    yield lambda **given: limits.use(given)
    limits.use(before)


def npy_of(shape):
    stream = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


def test_a_npy_that_claims_more_than_it_has(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_of(HUGE) + bytes(300))
    with pytest.raises(ValueError, match=r"a\.npy: .*bytes, 300 are there"):
        numpy_door.read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("keypoints.npy", npy_of(HUGE))
    with pytest.raises(ValueError, match=r"a\.npz: entry keypoints: .*bytes, 0 are there"):
        numpy_door.read_npz(tmp_path / "a.npz")


def test_a_npz_that_unpacks_to_a_thousand_times_its_size(tmp_path):
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("keypoints.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_of((10**8 // 8,)))
        for _ in range(100):
            member.write(bytes(10**6))
    with pytest.raises(ValueError, match=r"bomb\.npz.*limits\.ratio=200"):
        numpy_door.read_npz(path)


def test_an_hdf5_file_that_claims_more_than_it_has(tmp_path):
    for name, options in (("whole", {}), ("chunked", {"chunks": (100, 17, 3)})):
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("a/x", HUGE, "f4", **options)
        with (
            pytest.raises(ValueError, match=r"a/x: its size.* limits\.(ratio|array_mb)="),
            hdf5_door.opened(path, "copy it again") as file,
        ):
            file.group("a").raw("x")
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file.create_dataset("a", HUGE, "f4")
    with pytest.raises(ValueError, match=r"x\.mat: .*limits"):
        matlab.read_mat(tmp_path / "x.mat", ["a"])


def png_of(width, height):
    def part(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", b"") + part(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_a_picture_s_header_is_read_before_its_pixels(tmp_path, suffix, limit):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.zeros((30, 50, 3), np.uint8))
    with path.open("rb") as file:
        assert picture_files.stated(file) == (50, 30)
    limit(megapixels=0.001)
    with pytest.raises(
        ValueError, match=rf"a\{suffix}: its size in megapixels .*limits\.megapixels"
    ):
        picture_files.read(path)


@pytest.mark.parametrize("side", [30_000, 40_000, 2**31 - 1])
def test_a_small_file_of_a_large_picture(tmp_path, side):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(side, side))
    for read in (picture_files.read, picture_files.size):
        with pytest.raises(ValueError, match=r"a\.png: .*limits\.megapixels=250"):
            read(path)


def test_json_has_a_size_a_depth_each_key_once_and_utf_8(tmp_path, limit):
    path = tmp_path / "a.json"

    def refused(text, what):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ValueError, match=rf"a\.json: .*{what}"):
            read_json(path)

    for depth in (70, 2000, 100_000):
        refused("[" * depth, "limits.depth=64")
        refused('{"a":' * depth + "1" + "}" * depth, "limits.depth=64")
    refused('{"a": 1, "b": [{"c": 1, "c": 2}]}', "key 'c' twice")
    refused('[0, {"c": 1, "c": 2}]', "key 'c' twice")
    refused('{"a": 1, "\\u0061": 2}', "key 'a' twice")
    refused(b'{"a": "\xff"}', "not in UTF-8")
    refused('{"a": "\\ud800"}', "half of a character")
    refused(" \n", "empty")
    refused('{"a": 1', "cut short or no JSON")
    path.write_text('﻿{"[[\\"{": "]", "a": NaN, "b": "\\ud83d\\ude00"}', encoding="utf-8")
    found = read_json(path)
    assert found['[["{'] == "]"
    assert found["a"] != found["a"]
    assert found["b"] == "😀"
    assert read_json(path) is not found
    limit(json_mb=1e-6)
    refused("[1, 2, 3]", "limits.json_mb")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 20_000}, "larger than its weights|limits"),
        ({"width": 10**20}, "limits.setting"),
        ({"depth": 10**6}, "limits.setting"),
        ({"depth": 50_000}, "larger than its weights"),
        ({"depth": 0.5}, "config.json"),
        ({"width": "16"}, "config.json"),
        ({"width": None}, "config.json"),
    ],
)
def test_a_config_that_asks_for_more_than_the_weights(tmp_path, changes, words):
    path, read, _ = readers.model_config(tmp_path)
    content = json.loads(path.read_text())
    content["model"]["head"] |= changes
    path.write_text(json.dumps(content))
    with fuzz.limited(fuzz.SECONDS), pytest.raises(ValueError, match=words):
        read(path)


@pytest.mark.parametrize(
    "changes",
    [
        *({"hypotheses": x} for x in (0, -1, "5", 2.5, None, True, 10**20)),
        *(
            {"sampler": {"_target_": "posediff.diffusion.DDIMSampler", "steps": x}}
            for x in (0, "a")
        ),
        *({key: x} for key in ("head", "sampler", "process", "aggregate") for x in (None, 5, {})),
        {"every_step": "a"},
    ],
)
def test_options_of_a_model_are_of_their_kind(tmp_path, changes):
    path, _, _ = readers.model_config(tmp_path)
    content = json.loads(path.read_text())
    content["model"] |= changes
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"config\.json: model\.{next(iter(changes))}"):
        checkpoint.read_config(path.parent)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path, read, _ = readers.model_config(tmp_path)
    read(path)
    weights = checkpoint.read_weights(path.parent)
    name = next(iter(weights))
    for value in (torch.nan, torch.inf):
        weights[name].view(-1)[0] = value
        checkpoint.save(path.parent, weights, json.loads(path.read_text()))
        with pytest.raises(ValueError, match=f"entry {name} has numbers that are not finite"):
            read(path)


def test_limits_are_numbers_above_0(limit):
    for wrong in ({"depth": 0}, {"depth": "3"}, {"ratio": True}, {"more": 1}):
        with pytest.raises(ValueError, match=rf"limits\.{next(iter(wrong))}"):
            limit(**wrong)

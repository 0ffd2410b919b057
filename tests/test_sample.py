"""The nest of a batch, and poses as a table."""

import pytest
import torch

from posediff import sample as nest
from posediff.diffusion import Poses


def batch(n=3, first=0):
    numbers = torch.arange(first, first + n)
    return {
        "id": [f"s{i}" for i in numbers.tolist()],
        "x": numbers[:, None] + torch.tensor([0.0, 0.5]),
        "deep": {"y": numbers * 10, "names": [f"n{i}" for i in numbers.tolist()]},
    }


def windows():
    """Two windows of three frames; `who` has an entry a window, `word` one a frame."""
    flat = {"x": torch.arange(6.0), "deep": {"y": torch.arange(12).view(6, 2)}}
    labels = {"id": ["a", "b"], "who": ["p", "q"], "word": [list("abc"), list("def")]}
    return {**labels, **nest.fold(flat, 3)}


def test_rows_are_taken_through_the_whole_nest():
    whole = batch()
    for rows in ([2, 0], torch.tensor([2, 0])):
        some = nest.take(whole, rows)
        assert some["id"] == ["s2", "s0"]
        assert some["x"][:, 0].tolist() == [2, 0]
        assert some["deep"]["y"].tolist() == [20, 0]
        assert some["deep"]["names"] == ["n2", "n0"]
    assert nest.take(whole, slice(1, 3))["deep"]["names"] == ["n1", "n2"]
    assert whole["id"] == ["s0", "s1", "s2"]


def test_one_row_has_no_leading_dimension():
    one = nest.take(batch(), 1)
    assert (one["id"], one["deep"]["names"], one["deep"]["y"].item()) == ("s1", "n1", 10)
    assert one["x"].shape == (2,)


def test_indices_of_two_dimensions_make_windows():
    some = nest.take(batch(), torch.tensor([[0, 1], [1, 2]]))
    assert some["id"] == [["s0", "s1"], ["s1", "s2"]]
    assert some["x"].shape == (2, 2, 2)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_parts_joined_are_the_whole(size):
    whole = batch(5)
    joined = nest.cat(list(nest.parts(whole, size)))
    assert joined["id"] == whole["id"]
    assert torch.equal(joined["x"], whole["x"])
    assert joined["deep"]["names"] == whole["deep"]["names"]


def test_every_tensor_moves_to_the_device():
    moved = nest.to(batch(), torch.device("meta"))
    assert moved["x"].device.type == moved["deep"]["y"].device.type == "meta"
    assert moved["id"] == ["s0", "s1", "s2"]


def test_a_choice_holds_for_rows_or_for_joints():
    yes, no = batch(2), batch(2, first=7)
    chosen = nest.where(torch.tensor([True, False]), yes, no)
    assert chosen["x"][:, 0].tolist() == [0, 8]
    assert chosen["deep"]["y"].tolist() == [0, 80]
    joints = nest.where(torch.tensor([[True, False], [False, True]]), yes["x"], no["x"])
    assert joints.tolist() == [[0, 7.5], [8, 1.5]]


def test_windows_fold_and_unfold_into_the_same_frames():
    whole = windows()
    assert whole["x"].shape == (2, 3)
    assert whole["deep"]["y"].shape == (2, 3, 2)
    frames = nest.unfold(whole, torch.tensor([[0, 1], [1, 0], [1, 2]]))
    assert frames["x"].tolist() == [1, 3, 5]
    assert frames["deep"]["y"][:, 0].tolist() == [2, 6, 10]
    assert (frames["word"], frames["who"]) == (["b", "d", "f"], ["p", "q", "q"])


def test_windows_are_cut_to_some_of_their_frames():
    middle = nest.places(windows(), slice(1, 2))
    assert middle["x"].tolist() == [[1], [4]]
    assert (middle["word"], middle["who"]) == ([["b"], ["e"]], ["p", "q"])


def poses(n, first=0.0):
    points = torch.arange(n * 8.0).view(n, 4, 2) + first
    return Poses(points, points[..., 0], points[:, None].repeat(1, 3, 1, 1), points[..., 1], "four")


def test_poses_are_indexed_iterated_and_joined():
    every = Poses.cat([poses(2), poses(3, first=100.0)])
    assert (len(every), every.skeleton) == (5, "four")
    assert torch.equal(every[3:].keypoints, poses(3, first=100.0).keypoints[1:])
    assert torch.equal(every[torch.tensor([True] + 4 * [False])].spread, poses(1).spread)
    assert every[[4, 0]].hypotheses.shape == (2, 3, 4, 2)
    singles = list(every)
    assert [one.keypoints.shape for one in singles] == [(4, 2)] * 5
    assert torch.equal(torch.stack([one.scores for one in singles]), every.scores)


def test_poses_leave_gradients_behind_in_main_memory():
    learned = Poses(*(torch.ones(1, 2, requires_grad=True) for _ in range(4)), "four")
    assert not any(x.requires_grad for x in (learned.cpu().keypoints, learned.cpu().spread))

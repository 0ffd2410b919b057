"""Numbers of people in frames whose truth is known, and in a labelled video."""

import json

import pytest
import torch

from posediff.people.tracking import LOST, Tracker
from posediff.pose.skeleton import skeleton

COCO = skeleton("coco17")
WIDE, TALL = 60.0, 160.0


def body(seed):
    """A pose (17, 2) inside a box of WIDE x TALL around 0."""
    share = torch.rand(17, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    return share * torch.tensor([WIDE, TALL])


def seen(people):
    """Boxes, points and scores of people (seed, middle)."""
    points = torch.stack([body(seed) + torch.tensor(middle) for seed, middle in people])
    half = torch.tensor([WIDE, TALL]) / 2
    middles = torch.tensor([middle for _, middle in people])
    return torch.cat([middles - half, middles + half], 1), points, torch.ones(len(people), 17)


def numbered(frames):
    """The numbers of the people of each frame, a list of (seed, middle)."""
    tracker, nobody = Tracker(COCO), (torch.zeros(0, 4), torch.zeros(0, 17, 2), torch.zeros(0, 17))
    return [
        tracker.update(i, *(seen(people) if people else nobody)) for i, people in enumerate(frames)
    ]


@pytest.mark.parametrize("other", [0, 1])
def test_two_people_cross(other):
    """Of equal shape, too: then only the velocity tells them apart."""
    frames = [[(0, (100.0 + 8 * i, 200.0)), (other, (420.0 - 8 * i, 203.0))] for i in range(40)]
    assert numbered(frames) == [[0, 1]] * 40


def test_the_order_of_the_boxes_does_not_matter():
    frames = [
        [(0, (100.0 + 8 * i, 200.0)), (1, (420.0 - 8 * i, 203.0))][:: 1 if i % 2 else -1]
        for i in range(40)
    ]
    assert numbered(frames) == [[0, 1], [1, 0]] * 20


@pytest.mark.parametrize("missing", [1, 5, 15, LOST - 1])
def test_a_person_returns_from_an_occlusion(missing):
    frames = [[(0, (100.0 + 6 * i, 200.0)), (1, (600.0, 200.0))] for i in range(60)]
    for i in range(8, 8 + missing):
        frames[i] = frames[i][1:]
    expected = [[0, 1]] * 8 + [[1]] * missing + [[0, 1]] * (52 - missing)
    assert numbered(frames) == expected


def test_a_person_who_was_lost_for_long_is_new():
    frames = [[(0, (100.0, 200.0))]] * 3 + [[]] * LOST + [[(0, (100.0, 200.0))]] * 2
    assert numbered(frames) == [[0]] * 3 + [[]] * LOST + [[1]] * 2


def test_a_new_person_has_the_next_number():
    frames = [[(0, (100.0, 200.0))]] * 3 + [[(1, (400.0, 200.0)), (0, (100.0, 200.0))]] * 3
    assert numbered(frames) == [[0]] * 3 + [[1, 0]] * 3
    far = [[(0, (100.0, 200.0))], [(0, (900.0, 200.0))]]
    assert numbered(far) == [[0], [1]]


def test_two_people_swap_sides_around_each_other():
    turn = torch.linspace(0, torch.pi, 30)
    frames = []
    for angle in turn:
        x, y = 90 * float(angle.cos()), 50 * float(angle.sin())
        frames.append([(0, (300 + x, 300 + y)), (1, (300 - x, 300 - y))])
    assert numbered(frames) == [[0, 1]] * 30


def test_boxes_alone_are_enough():
    tracker = Tracker(COCO)
    for i in range(20):
        boxes, points, scores = seen([(0, (100.0 + 8 * i, 200.0)), (1, (300.0 - 8 * i, 240.0))])
        assert tracker.update(i, boxes, points * torch.nan, 0 * scores) == [0, 1]


def test_numbers_of_others_are_kept_and_never_given_again():
    tracker, people = Tracker(COCO), seen([(0, (100.0, 200.0)), (1, (300.0, 200.0))])
    assert tracker.update(0, *people, numbers=[7, 3]) == [7, 3]
    assert tracker.update(1, *people) == [7, 3]
    more = seen([(0, (100.0, 200.0)), (1, (300.0, 200.0)), (2, (600.0, 200.0))])
    assert tracker.update(2, *more) == [7, 3, 8]


def test_frames_are_read_in_order():
    tracker, people = Tracker(COCO), seen([(0, (100.0, 200.0))])
    tracker.update(4, *people)
    with pytest.raises(ValueError, match="frame 4: a tracker reads the frames"):
        tracker.update(4, *people)


def switches(truth, found):
    """How often a person's number is not that of their last frame."""
    last, count = {}, 0
    for people, numbers in zip(truth, found, strict=True):
        for person, number in zip(people, numbers, strict=True):
            count += last.get(person, number) != number
            last[person] = number
    return count


def labelled(path):
    """Track ids, boxes, points and scores of each frame of a file in PoseTrack18's form."""
    data = json.loads(path.read_text())
    for image in data["images"]:
        people = [p for p in data["annotations"] if p["image_id"] == image["id"]]
        keypoints = torch.tensor([p["keypoints"] for p in people]).view(-1, 17, 3)
        boxes = torch.tensor([p["bbox"] for p in people]).view(-1, 4)
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        scores = (keypoints[..., 2] > 0).float()
        yield [p["track_id"] for p in people], corners, keypoints[..., :2], scores


@pytest.mark.parametrize("every", [1, 2, 4])
def test_no_number_changes_in_a_labelled_video(shared, every):
    path = shared / "data/bonn_posetrack/annotations/test/060470979.json"
    frames = list(labelled(path))[::every]
    tracker = Tracker(skeleton("posetrack17"))
    found = [tracker.update(i, *rest) for i, (_, *rest) in enumerate(frames)]
    truth = [people for people, *_ in frames]
    assert sum(map(len, truth)) > 40
    assert switches(truth, found) == 0

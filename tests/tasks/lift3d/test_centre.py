"""lift3d of the middle frame: windows around every frame of a clip, and one pose of each."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import posediff
from posediff.data.lifting.lifting_dataset import LiftingDataset
from posediff.data.lifting.synthetic_people import people, synthetic
from posediff.data.lifting.windows import Windows, windowed
from posediff.diffusion import DDIMSampler, DiffusionModel, FlipTest, Process
from posediff.diffusion.schedule import cosine
from posediff.tasks.lift3d import Lift3D, VideoEncoder

F = 5


def model(answers="centre", flip=False):
    torch.manual_seed(0)
    encoder = VideoEncoder("h36m17", F, width=16, depth=2, heads=2)
    encoder.residual.fill_(0.05)
    head = Lift3D(encoder, width=16, depth=1, answers=answers)
    with torch.no_grad():
        for p in head.parameters():
            p += 0.05 * torch.randn_like(p)
    head = FlipTest(head) if flip else head
    made = DiffusionModel(head, Process(cosine(50)), DDIMSampler(2), hypotheses=2)
    made.trained_on = {"keypoints": "gt", "window": F}
    return made.eval()


def clip(length=8, split="validation"):
    return synthetic(split, "noisy", clips=1, length=length, window=F, answers="centre")


def every(data):
    return data.__getitems__(list(range(len(data))))


@pytest.mark.parametrize("length", [1, 3, 5, 12])
def test_every_frame_has_a_window_around_it_that_its_clip_pads(length):
    windows = Windows.over([4, length], F, centred=True)
    rows, valid = windows.rows(torch.arange(len(windows)))
    assert torch.equal(valid, (torch.arange(F) == 2).expand(4 + length, F))
    mine = rows[4:] - 4
    assert mine[:, 2].tolist() == list(range(length))
    apart = (mine - mine[:, 2:3]).clamp(-2, 2)
    expected = [[min(max(i + d, 0), length - 1) - i for d in range(-2, 3)] for i in range(length)]
    assert apart.tolist() == expected
    assert torch.equal(windows.rows(torch.arange(4), torch.rand(4))[0], rows[:4])  # in training too


def test_samples_are_called_after_their_middle_frame_and_frames_that_do_not_count_have_none():
    part = replace(next(people("validation", 0, 8)), valid=np.arange(8) != 3)
    data = LiftingDataset([part], "h36m17", "noisy", window=F, answers="centre")
    assert len(data) == 4 * 7
    names = every(data)["id"][:7]
    assert [int(name[-6:]) for name in names] == [0, 1, 2, 4, 5, 6, 7]
    training = clip(split="train")
    assert len(set(every(training)["id"])) == len(training)


def test_the_pose_of_a_window_is_that_of_its_middle_frame_in_a_model_of_all_frames():
    sample = every(clip())
    one, whole = model().sample(sample), model("all")
    assert one.decoded.keypoints.shape == (4 * 8, 2, 17, 3)
    assert torch.equal(one.sample["keypoints"], sample["keypoints"][:, F // 2])
    assert one.sample["meta"]["frame"].tolist() == list(range(8)) * 4
    encoded, centre = whole.head.encode(sample), model().head.encode(sample)
    for name, x in centre.items():
        assert_close(x, encoded[name][:, [F // 2]], atol=1e-6, rtol=0)
    x, t = torch.randn(32, 1, 17, 5), torch.arange(32)
    said = model().head.denoise(x, t, centre).value
    all_said = whole.head.denoise(x.expand(-1, F, -1, -1), t, encoded).value
    assert_close(said, all_said[:, [F // 2]], atol=1e-5, rtol=0)


@torch.no_grad()
def test_only_the_truth_of_the_middle_frame_is_learned():
    sample, made = every(clip()), model()

    def loss(sample):
        context, goal = made.head.encode(sample), made.head.target(sample)
        t = torch.full((len(goal),), 3)
        return made.head.loss(torch.zeros_like(goal), t, goal, context, sample)

    spoilt = dict(sample)
    for key in ("keypoints", "target_2d"):
        spoilt[key] = sample[key].clone()
        spoilt[key][:, [0, 1, 3, 4]] += 100
    assert torch.equal(loss(spoilt), loss(sample))
    spoilt["keypoints"] = sample["keypoints"].clone()
    spoilt["keypoints"][:, 2, 1:] += 100
    assert (loss(spoilt) > 10 * loss(sample)).all()


def test_one_s_own_keypoints_get_a_pose_in_every_frame_but_those_without_anybody():
    points = synthetic("test", "gt", clips=1, length=9).__getitems__(list(range(9)))["keypoints_2d"]
    points[4] = torch.nan
    poses = posediff.lift(model(), points, (1000, 1002), layout="h36m17")
    assert poses.keypoints.isnan().flatten(1).any(1).tolist() == [i == 4 for i in range(9)]
    rows = {"id": [str(i) for i in range(6)], "x": torch.arange(6.0)}
    assert windowed(rows, F, centred=True)["id"] == rows["id"]


def test_other_words_are_refused():
    with pytest.raises(
        ValueError, match=r"task\.head\.answers must be one of all, centre, got 'mid'"
    ):
        model("mid")

"""3D poses of a user's own 2D keypoints, some of them missing."""

import pytest
import torch

import posediff
from posediff.data.lifting.synthetic_people import synthetic
from posediff.diffusion import Decoded, Regression, Window
from posediff.inference.lift import SHARE, SIDE, lifted, own_image
from posediff.inference.lifting_input import Tracks
from posediff.pose.camera import project


class Flat(torch.nn.Module):
    """A lifter into a plane: x, y from the first joint in half image widths, z = 0."""

    skeleton = "h36m17"

    def __init__(self, window):
        super().__init__()
        self.window = Window(window)
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def forward(self, sample):
        self.seen.append(sample)
        points = sample["keypoints_2d"] * 2 / sample["image_size"][..., None, :1]
        flat = points - points[..., :1, :]
        return torch.cat([flat, torch.zeros_like(flat[..., :1])], -1)

    def single_frames(self, estimates, sample):
        if "frames_valid" not in sample:
            return estimates, sample
        at = sample["frames_valid"].nonzero()
        kept = {"scores": sample["scores"][at[:, 0], at[:, 1]]}
        return estimates.transpose(1, 2)[at[:, 0], at[:, 1]], kept

    def decode(self, estimates, sample):
        return Decoded(estimates, sample["scores"][:, None].expand(estimates.shape[:3]))


def model(window=1):
    made = Regression(Flat(window))
    made.trained_on = {"keypoints": "gt", "window": window}
    return made.eval()


@pytest.fixture
def video():
    """One person in 30 successive frames, (30, 17, 2) pixels."""
    return synthetic("test", clips=1, length=30, keypoints="gt").__getitems__(list(range(30)))[
        "keypoints_2d"
    ]


def plane(points, zoom):
    """The poses of `Flat` in an image of width SIDE."""
    flat = (points - points[:, :1]) * zoom * 2 / SIDE
    return torch.cat([flat, torch.zeros_like(flat[..., :1])], -1)


def zoom_of(points):
    extent = (points.amax(1) - points.amin(1)).amax(1).quantile(0.9)
    return SHARE * SIDE / extent


@pytest.mark.parametrize("window", [1, 9])
def test_every_row_has_its_pose_in_the_order_of_the_rows(video, window):
    poses = posediff.lift(model(window), video, layout="h36m17")
    torch.testing.assert_close(poses.keypoints, plane(video, zoom_of(video)))
    assert poses.keypoints.shape == (30, 17, 3)
    assert poses.scores.eq(1).all()
    assert poses.skeleton == "h36m17"


def test_a_model_of_another_task_is_refused_in_one_line(video):
    with pytest.raises(ValueError, match=r"model: one of image2d, which does not read keypoints"):
        posediff.lift(posediff.load("image2d"), video, layout="h36m17")


@pytest.mark.parametrize("window", [1, 9])
def test_a_frame_without_people_gets_no_pose_and_moves_none(video, window):
    there = torch.ones(30, dtype=torch.bool)
    there[[0, 4, 5, 29]] = False
    whole = posediff.lift(
        model(window), video[there], layout="h36m17", frames=there.nonzero()[:, 0]
    )
    points, scores = video.clone(), torch.ones(30, 17)
    points[~there], scores[4] = torch.nan, 0
    poses = posediff.lift(model(window), points, scores=scores, layout="h36m17")
    assert torch.equal(poses.keypoints[there], whole.keypoints)
    assert poses.keypoints[~there].isnan().all()
    assert poses.scores[~there].eq(0).all()
    assert poses.hypotheses.isnan().flatten(1).all(1).tolist() == (~there).tolist()


def test_a_person_with_too_few_known_joints_gets_no_pose(video):
    scores = torch.ones(30, 17)
    scores[3, 9:], scores[7, 8:] = 0, 0
    poses = posediff.lift(model(), video, scores=scores, layout="h36m17")
    assert poses.keypoints[3].isfinite().all()
    assert poses.keypoints.isnan().flatten(1).all(1).nonzero().tolist() == [[7]]


def test_a_gap_is_bridged_and_a_long_gap_starts_a_new_segment(video):
    head = model(9)
    frames = torch.tensor([0, 1, 2, 5, 6, 30, 31])
    posediff.lift(head, video[:7], (1000, 1000), layout="h36m17", frames=frames)
    first, second = head.head.seen
    assert first["frames_valid"].tolist() == [[1, 1, 1, 0, 0, 1, 1, 0, 0]]
    assert second["frames_valid"].tolist() == [[1, 1, 0, 0, 0, 0, 0, 0, 0]]
    bridge = torch.lerp(video[2], video[3], torch.tensor([1 / 3, 2 / 3])[:, None, None])
    torch.testing.assert_close(first["keypoints_2d"][0, 3:5], bridge)
    assert (first["scores"][0, 3:5] == 0.25).all()
    assert (first["scores"][0, :3] == 1).all()


def test_frames_of_a_step_are_successive(video):
    head, frames, names = model(9), torch.tensor([7, 37, 97]), ["7", "37", "97"]
    one = torch.zeros(3, dtype=torch.long)
    rows = Tracks(video[:3], torch.ones(3, 17), names, one, frames, step=30)
    lifted(head, rows, "h36m17", (1000, 1000))
    assert [x["frames_valid"].tolist() for x in head.head.seen] == [[[1, 1, 0, 1, 0, 0, 0, 0, 0]]]


def test_tracks_do_not_share_windows_and_may_have_any_order(video):
    other = video.flip(0) + 40
    both = torch.stack([video[:6], other[:6]], 1).flatten(0, 1)  # in turn
    tracks, frames = torch.arange(12) % 2, torch.arange(12) // 2
    head = model(9)
    poses = posediff.lift(head, both, layout="h36m17", tracks=tracks, frames=frames)
    for k, person in enumerate((video[:6], other[:6])):
        torch.testing.assert_close(poses.keypoints[k::2], plane(person, zoom_of(person)))
    assert [x["frames_valid"].sum().item() for x in head.head.seen] == [6, 6]
    with pytest.raises(ValueError, match="two rows in one frame"):
        posediff.lift(model(9), both, layout="h36m17", tracks=tracks * 0, frames=frames)


def test_neither_place_nor_size_in_the_image_changes_a_pose(video):
    here = posediff.lift(model(), video, layout="h36m17")
    there = posediff.lift(model(), video * 0.2 + torch.tensor([900.0, 100.0]), layout="h36m17")
    torch.testing.assert_close(there.keypoints, here.keypoints, atol=1e-5, rtol=1e-4)
    inside = posediff.lift(model(), video, (1000, 1000), layout="h36m17")
    torch.testing.assert_close(inside.keypoints, plane(video, 1.0))


def test_in_an_own_image_the_person_is_in_the_middle_and_the_lens_follows():
    data = synthetic("test", clips=1, length=5)
    sample = data.__getitems__(list(range(5)))
    points, lens, one = sample["target_2d"], sample["camera"], torch.zeros(5, dtype=torch.long)
    moved, own = own_image(points, torch.ones(5, 17), one, lens)
    torch.testing.assert_close((moved.amax(1) + moved.amin(1)) / 2, torch.full((5, 2), SIDE / 2))
    seen = project(sample["keypoints"].double(), own.double())
    torch.testing.assert_close(seen.float(), moved, atol=0.01, rtol=0)
    # missing joints change nothing
    scores = torch.ones(5, 17)
    scores[:, 3] = 0
    far = points.clone()
    far[:, 3] = 1e6
    same = own_image(far, scores, one)[0]
    near = points.clone()
    near[:, 3] = points[:, 2]
    keep = [j for j in range(17) if j != 3]
    expected = own_image(near, torch.ones(5, 17), one)[0]
    torch.testing.assert_close(same[:, keep], expected[:, keep])


def test_the_camera_reaches_the_sample(video):
    head = model()
    camera = [1100, 1100, 500, 500]
    posediff.lift(head, video, (1000, 1000), layout="h36m17", camera=camera)
    assert head.head.seen[0]["camera"].tolist() == [[*camera, 0, 0, 0, 0, 0]] * 30


def test_scores_are_at_most_1_and_whole_numbers_may_be_of_any_type(video):
    scores = torch.full((30, 17), 7.5, dtype=torch.bfloat16, requires_grad=True)
    frames = torch.arange(30, dtype=torch.float64).tolist()
    poses = posediff.lift(model(9), video, scores=scores, layout="h36m17", frames=frames)
    alone = posediff.lift(model(9), video, layout="h36m17")
    assert torch.equal(poses.keypoints, alone.keypoints)
    assert torch.equal(poses.scores, alone.scores)


SIZES = [(0, 0), (-1, 9), (float("nan"), 9), (float("inf"),) * 2, (1e39, 9), (9, 9, 9), 9]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"camera": [0, 1100, 500, 500]}, "the focal length must be above 0 pixels"),
        ({"camera": [1100, 500, 500]}, r"camera must be \[f_x,f_y,c_x,c_y\] or 9 numbers"),
        ({"camera": [1100, 1100, float("nan"), 500]}, "camera must be"),
        ({"scores": torch.zeros(30, 17)}, "no person in any frame has 9 known joints of h36m17"),
        *[({"image_size": x}, r"image_size must be \[width,height\]") for x in SIZES],
        (
            {"scores": torch.ones(30)},
            r"scores must be .* of shape \(30, 17\), not an array of .*30",
        ),
        ({"scores": torch.full((30, 17), torch.nan)}, "scores must be finite"),
        ({"tracks": torch.zeros(29)}, r"tracks must be .* of shape \(30\)"),
        ({"frames": torch.arange(30) / 2}, "frames must be whole numbers"),
        ({"frames": torch.arange(30) * 1e20}, "frames must be whole numbers"),
        ({"ids": ["a"] * 31}, "ids must be 30, one for every row of points, not 31"),
        ({"layout": "mpii16"}, "17 joints given, but skeleton mpii16 has 16"),
    ],
)
def test_input_that_cannot_be_lifted_is_one_line(video, change, words):
    with pytest.raises(ValueError, match=words) as e:
        posediff.lift(model(), video, **({"layout": "h36m17"} | change))
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match=r"points must be \(frames, joints, 2\)"):
        posediff.lift(model(), video[0])


@pytest.mark.parametrize(
    "layout", ["coco17", "halpe26", "mpii16", "h36m17", "aic14", "crowdpose14", "posetrack15"]
)
def test_every_layout_is_lifted_by_the_names_of_its_joints(video, layout):
    names, body = posediff.skeleton(layout).joints, posediff.skeleton("h36m17").joints
    points = torch.full((30, len(names), 2), torch.nan)
    both = [joint for joint in names if joint in body]
    points[:, [names.index(j) for j in both]] = video[:, [body.index(j) for j in both]]
    poses = posediff.lift(model(), points, (1000, 1000), layout=layout)
    limbs = [j for j, joint in enumerate(body) if "_" in joint]
    assert len(limbs) == 12
    flat = plane(video, 1.0)
    apart = flat[:, limbs] - flat[:, limbs[:1]]
    mine = poses.keypoints[:, limbs] - poses.keypoints[:, limbs[:1]]
    torch.testing.assert_close(mine, apart, atol=1e-4, rtol=0)
    assert poses.scores[:, limbs].eq(1).all()

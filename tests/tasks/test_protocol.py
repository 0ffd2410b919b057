"""What every head keeps, whatever its task."""

import pytest
import torch
from helpers.heads import DIFFUSIONS, HEADS, case, model

from posediff import checkpoint, micro_batch, sample
from posediff.diffusion import Noise

every = pytest.mark.parametrize("name", HEADS)
diffusion = pytest.mark.parametrize("name", DIFFUSIONS)


def same(a, b, part=1e-4):
    """True if two tensors are equal but for rounding, NaN included."""
    largest = float(b.detach().nan_to_num().abs().max())
    return torch.allclose(a, b, rtol=0, atol=part * max(largest, 1e-3), equal_nan=True)


@every
def test_an_answer_depends_on_the_sample_its_id_and_the_seed_alone(name):
    made, batch = model(name), case(name).sample
    whole = made.sample(batch).estimates
    alone = [made.sample(part).estimates for part in sample.parts(batch, 1)]
    assert same(torch.cat(alone), whole)
    assert same(made.sample(batch).estimates, whole, 0)


@diffusion
def test_fewer_hypotheses_are_the_first_of_more(name):
    made, batch = model(name), case(name).sample
    assert same(made.sample(batch, 3).estimates, made.sample(batch, 5).estimates[:, :3])


@diffusion
def test_seeds_and_hypotheses_differ(name):
    made, batch = model(name), case(name).sample
    one, other = (made.sample(batch, 2, seed=seed).estimates for seed in (0, 1))
    drawn = not name.startswith("official")  # the released model starts at one known pose
    assert same(one, other) is not drawn
    assert same(one[:, 0], one[:, 1]) is not drawn


@every
def test_the_mirror_image_of_a_mirror_image_is_the_original(name):
    made, batch = model(name), case(name).sample
    estimate = made.sample(batch, 1).estimates[:, 0]
    assert same(made.head.mirror(made.head.mirror(estimate)), estimate)
    twice = made.head.mirror_sample(made.head.mirror_sample(batch))
    for key, x in batch.items():
        if torch.is_tensor(x) and x.is_floating_point():
            assert same(twice[key], x), key


def gradients(made, batch, size):
    """The loss of a batch that is trained in parts of `size` samples, and the gradients."""
    torch.manual_seed(3)
    made.zero_grad()
    total = 0.0
    for part, noise, weight in micro_batch.split(batch, size, made, 3, len(batch["id"])):
        loss = weight * made(part, 0.0, noise)
        loss.backward()
        total += loss.item()
    if made.squared and noise is not None:
        total = micro_batch.square(made, total)
    return total, [p.grad.clone() for p in made.parameters() if p.grad is not None]


@every
def test_a_batch_in_parts_has_the_gradients_of_the_whole(name):
    """Without dropout and batch normalisation, so in evaluation mode."""
    made, batch = model(name), case(name).sample
    assert made.squared is (name == "d3dp")
    batch = sample.cat([batch, {**batch, "visible": torch.ones_like(batch["visible"])}])
    loss, whole = gradients(made, batch, None)
    again, parts = gradients(made, batch, len(batch["id"]) - 1)
    assert again == pytest.approx(loss, rel=1e-5)
    largest = max(float(x.abs().max()) for x in whole)
    assert len(parts) == len(whole)
    assert all((a - b).abs().max() <= 1e-4 * largest for a, b in zip(parts, whole, strict=True))


@every
def test_gradients_reach_every_weight_that_is_to_learn(name):
    made, batch = model(name).train(), case(name).sample
    torch.manual_seed(0)
    made.loss(batch).backward()
    without = [k for k, p in made.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    frozen = [k for k, p in made.named_parameters() if not p.requires_grad]
    assert all("encoder" in k for k in frozen)


@diffusion
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_training_on_own_answers_is_finite_and_reaches_every_weight(name, precision):
    made, batch = model(name).train(), case(name).sample
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        torch.manual_seed(0)
        usual = made.loss(batch)
        torch.manual_seed(0)
        aligned = made.loss(batch, aligned=1.0)
    assert aligned.isfinite()
    assert aligned != usual
    aligned.backward()
    learning = {k: p for k, p in made.named_parameters() if p.requires_grad}
    assert [k for k, p in learning.items() if p.grad is None or not p.grad.isfinite().all()] == []
    assert made.head.training


@every
def test_the_truth_enters_no_answer(name):
    made, batch = model(name), case(name).sample
    truth = ("keypoints", "target_2d", "keypoints_annotation", "visible_annotation")
    blind = {key: x for key, x in batch.items() if key not in truth}
    assert same(made.sample(blind, 1).estimates, made.sample(batch, 1).estimates, 0)


@every
def test_a_flip_test_of_the_mirror_image_is_the_mirrored_answer(name):
    made, batch = model(name), case(name).sample
    head, seen = made.head.mirrored(), made.head.mirror_sample(batch)
    assert head.summary()["flip"]
    if name not in DIFFUSIONS:
        one, other = head(batch), head(seen)
        plain = made.head(seen)
    else:
        x = Noise(0, batch["id"]).normal(made.head.target(batch).shape)
        t = torch.full((len(x),), made.process.schedule.alpha.numel() // 2)
        one = head.denoise(x, t, head.encode(batch)).value
        other = head.denoise(head.mirror(x), t, head.encode(seen)).value
        plain = made.head.denoise(head.mirror(x), t, made.head.encode(seen)).value
    assert same(head.mirror(other), one, 1e-3)
    assert not same(head.mirror(plain), one, 1e-2)


@every
def test_a_model_folder_gives_the_same_answers(name, tmp_path):
    made, (cfg, tree, batch) = model(name), case(name)
    about = {"task": cfg.task.name, "skeleton": cfg.dataset.skeleton, "dataset": {}, "model": tree}
    checkpoint.save(tmp_path / "model", made.state_dict(), about)
    loaded = checkpoint.load(tmp_path / "model")
    assert same(loaded.sample(batch).estimates, made.sample(batch).estimates, 0)
    assert not same(model(name, seed=1).sample(batch).estimates, made.sample(batch).estimates)


WRONG = {  # of a sample, the entry that does not fit the network
    "lift3d": ("keypoints_2d", lambda x: x[..., 1:, :], r"17 joints was given .*16"),
    "image2d": ("image", lambda x: x[..., 1:, :], r"a crop of 48 x 64 is wanted"),
    "video2d": ("frames", lambda x: x[:, 1:], r"3 frames of 32 x 48 are wanted"),
}


@every
def test_a_sample_of_another_layout_is_refused(name):
    made, batch = model(name), case(name).sample
    key, change, message = WRONG[case(name).config.task.name]
    with pytest.raises(ValueError, match=message):
        made.sample({**batch, key: change(batch[key])})

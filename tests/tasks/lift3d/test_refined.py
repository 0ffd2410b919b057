"""The trunk that refines a lifter of single frames across the frames of a window."""

import pytest
import torch

from posediff.diffusion.schedule import cosine
from posediff.tasks.lift3d import FrameTrunk, Posterior, RefinedTrunk

F = 5


def lifter(skeleton="h36m17"):
    torch.manual_seed(0)
    return Posterior(FrameTrunk(skeleton, width=16, depth=1), cosine(50), width=8, depth=1)


def refined(**options):
    return RefinedTrunk(lifter(), "h36m17", F, **{"width": 24, "depth": 1, "heads": 2} | options)


def stirred():
    made = refined()
    for p in made.network.parameters():
        p.data += 0.1 * torch.randn(p.shape)
    return made.eval()


def windows(count=2, frames=F):
    return torch.randn(count, frames, 17, 4, generator=torch.Generator().manual_seed(1))


def test_a_new_trunk_answers_as_its_lifter_does_frame_by_frame():
    made, x = refined().eval(), windows()
    answer, features = made(x)
    alone, _ = made.encoder.trunk(x.flatten(0, 1))
    assert torch.allclose(answer, alone.view_as(answer), atol=1e-6)
    assert features.shape == (2, F, 17, 24)


def test_frames_see_each_other_but_windows_do_not():
    made, x = stirred(), windows()
    before = made(x)[0].detach()
    x[0, 0] += 1
    after = made(x)[0].detach()
    changed = (after - before)[0].abs().amax(dim=(1, 2))
    assert changed.shape == (F,)
    assert float(changed.min()) > 1e-4
    assert torch.equal(after[1], before[1])


def test_the_lifter_neither_learns_nor_drops_anything():
    made = stirred().train()
    assert not made.encoder.training
    assert made.network.training
    frames = made.encoder.trunk
    assert torch.equal(frames(windows()[0])[0], frames(windows()[0])[0])  # its dropout is .1
    made(windows())[0].sum().backward()
    assert all(p.grad is None for p in made.encoder.parameters())
    assert all(p.grad is not None for p in made.network.output.parameters())


def test_lifters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"single frames of h36m17, got 1 frames of mocap17"):
        RefinedTrunk(lifter("mocap17"), "h36m17", F)
    inner = Posterior(refined(), cosine(50), width=8, depth=1)
    with pytest.raises(ValueError, match=r"got 5 frames of h36m17"):
        RefinedTrunk(inner, "h36m17", F)
    with pytest.raises(ValueError, match=r"5 frames was given windows of 4"):
        refined()(windows(frames=4))

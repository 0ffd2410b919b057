"""Joints without a label: x_0 is undefined there, yet at inference every joint has a heatmap.

    noise   drawn from N(0, 1), the end of the process, at every t; every second is left out of the
            masks
    drop    neither drawn nor in the masks
    mle     treated as labelled at the conditional mean, given the other joints, under a Gaussian of
            complete poses

None of them has a weight in the loss.
"""

import torch
from torch import Tensor, nn


class PoseGaussian(nn.Module):
    """Fills in missing joints. Its moments are those of the complete poses seen in training.

    With x one vector of 2 J numbers, o the known and m the missing ones:
    x_m = mu_m + S_mo S_oo^-1 (x_o - mu_o). Before the first complete pose mu is 0 and S is 1.
    """

    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(self, joints: int) -> None:
        super().__init__()
        D = 2 * joints
        self.register_buffer("count", torch.ones((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(D, dtype=torch.float64))
        self.register_buffer("outer", torch.eye(D, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, x: Tensor, labelled: Tensor) -> Tensor:
        """x (B, J, 2), labelled (B, J) bool -> x with its unlabelled joints filled in."""
        flat = x.flatten(1).double()
        if self.training:
            whole = flat[labelled.all(1)]
            self.count += len(whole)
            self.total += whole.sum(0)
            self.outer += whole.T @ whole
        mean = self.total / self.count
        covariance = self.outer / self.count - mean[:, None] * mean
        known = labelled.repeat_interleave(2, 1).double()
        among = known[:, :, None] * covariance * known[:, None] + torch.diag_embed(1 - known)
        solved = torch.linalg.solve(among, known * (flat - mean))
        filled = mean + (known * solved) @ covariance
        return torch.where(labelled[..., None], x, filled.view(x.shape).to(x.dtype))

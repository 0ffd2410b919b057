"""Noise schedules: how much signal (alpha) and noise (sigma) is left at each timestep.

    x_t = loc + alpha[t] * (x_0 - loc) + sigma[t] * noise,    t = 0 .. T-1

`alpha[t] ** 2` is the alpha-bar of DDPM. Index -1 is the clean end (alpha 1, sigma 0), so a reverse
process may simply count down to -1.
"""

import math

import torch
from torch import Tensor, nn

from posediff.diffusion.noise import Noise


class NoiseSchedule(nn.Module):
    """Tables made from DDPM betas, in float64; not saved, so the schedule stays free later.

    levels: alpha and sigma of each timestep as plain numbers, for the steps of samplers.
    """

    alpha: Tensor
    sigma: Tensor

    def __init__(self, betas: Tensor) -> None:
        super().__init__()
        alpha_bar = torch.cumprod(1 - betas.double(), dim=0)
        alpha_bar = torch.cat([alpha_bar, alpha_bar.new_ones(1)])  # [-1] is the clean end
        self.register_buffer("alpha", alpha_bar.sqrt(), persistent=False)
        self.register_buffer("sigma", (1 - alpha_bar).sqrt(), persistent=False)
        self.levels = list(zip(self.alpha.tolist(), self.sigma.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.alpha) - 1

    def at(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma at `t` (B,), in the dtype of x and shaped to broadcast against it."""
        shape = (-1, *[1] * (x.ndim - 1))
        return self.alpha[t].to(x).view(shape), self.sigma[t].to(x).view(shape)

    def draw(self, n: int, noise: Noise, antithetic: bool = False) -> Tensor:
        """n timesteps, uniform. (n,)  Antithetic: the second half mirrors the first, T-1-t."""
        T, n = len(self), noise.whole or n
        drawn = noise.undivided().uniform((n // 2 + 1 if antithetic else n,))
        t = (drawn * T).long().to(self.alpha.device)
        return (torch.cat([t, T - 1 - t])[:n] if antithetic else t)[noise.rows]


def linear(steps: int, beta_start: float = 1e-4, beta_end: float = 2e-2) -> NoiseSchedule:
    """Ho et al. 2020: betas evenly spaced from beta_start to beta_end."""
    return NoiseSchedule(torch.linspace(beta_start, beta_end, steps, dtype=torch.float64))


def cosine(steps: int, s: float = 0.008, max_beta: float = 0.999) -> NoiseSchedule:
    """Nichol & Dhariwal 2021, eq. 17."""
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha_bar = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    return NoiseSchedule((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta))

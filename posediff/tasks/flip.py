"""The flip test of a regression; that of a diffusion is `FlipTest`, inside every step."""

from collections.abc import Iterable

from torch import Tensor, nn

from posediff.diffusion import Decoded
from posediff.diffusion.head import RegressionHead, Sample


class BothViews(nn.Module):
    """A head that answers at once, averaged over its input and the mirror image of it."""

    def __init__(self, head: RegressionHead) -> None:
        super().__init__()
        self.head, self.skeleton = head, head.skeleton

    def forward(self, sample: Sample) -> Tensor:
        mirrored = self.head(self.head.mirror_sample(sample))
        y: Tensor = (self.head(sample) + self.head.mirror(mirrored)) / 2
        return y

    def loss(self, estimate: Tensor, sample: Sample) -> Tensor:
        return self.head.loss(estimate, sample)

    def decode(self, estimates: Tensor, sample: Sample) -> Decoded:
        return self.head.decode(estimates, sample)

    def rows(self, estimates: Tensor, sample: Sample) -> tuple[Tensor, Sample]:
        return self.head.rows(estimates, sample)

    def mirror(self, x: Tensor) -> Tensor:
        return self.head.mirror(x)

    def mirror_sample(self, sample: Sample) -> Sample:
        return self.head.mirror_sample(sample)

    def calibrate(self, samples: Iterable[Sample]) -> None:
        self.head.calibrate(samples)

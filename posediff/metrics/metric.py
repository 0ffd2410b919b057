"""The protocol of all metrics: poses and samples in, figures and perhaps result files out."""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posediff.diffusion.aggregate import Poses


class Metric(ABC):
    """Figures of one evaluation, for any number of aggregation rules.

    The first argument of a constructor is the `Truth` of a data set. Figures depend neither on the
    order of samples nor on the size of batches.
    """

    @abstractmethod
    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Add the poses of a batch by the rule `name`.

        Raises ValueError if they cannot be scored against the sample.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Every figure by its key, `<metric>/<rule>[:<part>]`; the headline is the first."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Facts that a report contains beside the figures, as JSON values."""

    def result_files(self, folder: Path) -> Iterable[Path]:
        """Write the poses of every rule in the benchmark's form, if it has one; returns the paths
        of files or folders."""
        return ()


def check_skeleton(poses: Poses, skeleton: str) -> None:
    """Raises ValueError if the poses have another skeleton."""
    if poses.skeleton != skeleton:
        raise ValueError(
            f"poses of {poses.skeleton} cannot be scored as {skeleton}: use a data set of the same "
            "skeleton"
        )


def check_rows(
    poses: Poses, sample: Mapping[str, Any], images: Sequence[Any], annotated: Container[Any]
) -> None:
    """Raises ValueError if an image is not annotated, or if a pose is not finite."""
    sound = poses.keypoints.isfinite().all(-1).all(-1) & poses.scores.isfinite().all(-1)
    for key, image, finite in zip(sample["id"], images, sound.tolist(), strict=True):
        if image not in annotated:
            raise ValueError(f"image {image} of sample {key} is not in the annotations")
        if not finite:
            raise ValueError(f"the pose of {key} is not finite: check the weights")

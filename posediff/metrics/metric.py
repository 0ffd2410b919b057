"""What every metric is: poses and samples in, figures and perhaps result files out."""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posediff.diffusion.aggregate import Poses


class Metric(ABC):
    """Its constructor takes the `Truth` of a data set first. Samples may come in any order, in
    batches of any size, and from any number of aggregation rules."""

    @abstractmethod
    def update(self, name: str, poses: Poses, sample: Mapping[str, Any]) -> None:
        """Take the poses of a sample by the rule `name`."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Every figure by its key, `<metric>/<rule>`; the headline is the first."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """What a report must say about these figures, as JSON has it."""

    def result_files(self, folder: Path) -> Iterable[Path]:
        """Write the poses of every rule in the form that the benchmark takes, if it takes any, and
        return the paths."""
        return ()


def check_skeleton(poses: Poses, skeleton: str) -> None:
    """Raises ValueError for poses of another skeleton."""
    if poses.skeleton != skeleton:
        raise ValueError(f"poses of {poses.skeleton} cannot be scored as {skeleton}")


def check_rows(
    poses: Poses, ids: Sequence[str], images: Sequence[Any], known: Container[Any]
) -> None:
    """Raises ValueError for an image that is not annotated, and for a pose that is not finite."""
    sound = poses.keypoints.isfinite().all(-1).all(-1) & poses.scores.isfinite().all(-1)
    for key, image, finite in zip(ids, images, sound.tolist(), strict=True):
        if image not in known:
            raise ValueError(f"no image {image}, that of sample {key}, in the annotations")
        if not finite:
            raise ValueError(f"the pose of {key} is not finite: check the weights")

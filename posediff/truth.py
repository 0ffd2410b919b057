"""The labels of one part of a data set, as metrics score against them.

Most metrics read the labels of every sample from the sample itself. Those that score whole images
or videos, with people for whom there is no answer, read them here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]  # images, categories and annotations in COCO's or PoseTrack18's form


@dataclass(frozen=True)
class Truth:
    """skeleton, dataset: names of the joint layout and of the data set
    dimensions   of the poses: 2 or 3
    whole        images count if no sample is of them, too; else only those of the samples seen, as
                 in training, which scores a part
    people       returns all annotated people in COCO's form, joints in the skeleton's order
    videos       returns the annotations of every video by the name of its file
    """

    skeleton: str
    dataset: str = ""
    dimensions: int = 2
    whole: bool = True
    people: Callable[[], Document] | None = None
    videos: Callable[[], Mapping[str, Document]] | None = None

    def annotated_people(self, metric: str) -> Document:
        """Raises ValueError, which names the metric, if there are none."""
        if self.people is None:
            raise ValueError(f"{metric} scores people in pictures; {self.dataset} has none")
        return self.people()

    def annotated_videos(self, metric: str) -> Mapping[str, Document]:
        """Raises ValueError, which names the metric, if there are none."""
        if self.videos is None:
            raise ValueError(f"{metric} scores people in videos; {self.dataset} has none")
        return self.videos()

    def require(self, dimensions: int, metric: str) -> None:
        """Raises ValueError, which names the metric, if the poses have other dimensions."""
        if self.dimensions != dimensions:
            raise ValueError(
                f"{metric} scores poses in {dimensions}D; those of {self.dataset} are in "
                f"{self.dimensions}D"
            )

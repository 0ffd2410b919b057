"""The labels of one part of a data set, as metrics score against them.

Most metrics read the labels of every sample from the sample itself. Metrics that score whole images
or videos, in which some people have no answer, read them here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]  # images, categories and annotations in COCO's or PoseTrack18's form


@dataclass(frozen=True)
class Truth:
    """Labels of a data set. `metric` is the name of the one that reads them, for errors.

    skeleton, dataset   names of the joint layout and of the data set
    dimensions          2 or 3, of the poses
    whole               all images count; else only those of the samples seen, as in training,
                        which scores a part
    people              returns all annotated people in COCO's form, joints in the skeleton's order
    videos              returns the annotations of every video by its file name
    """

    skeleton: str
    dataset: str = ""
    dimensions: int = 2
    whole: bool = True
    people: Callable[[], Document] | None = None
    videos: Callable[[], Mapping[str, Document]] | None = None

    def annotated_people(self, metric: str) -> Document:
        """Raises ValueError if the data set has none."""
        if self.people is None:
            raise self._lacks("people in images", metric)
        return self.people()

    def annotated_videos(self, metric: str) -> Mapping[str, Document]:
        """Raises ValueError if the data set has none."""
        if self.videos is None:
            raise self._lacks("people in videos", metric)
        return self.videos()

    def require(self, dimensions: int, metric: str) -> None:
        """Raises ValueError if the poses have other dimensions."""
        if self.dimensions != dimensions:
            raise self._lacks(f"poses in {dimensions}D", metric)

    def _lacks(self, labels: str, metric: str) -> ValueError:
        return ValueError(f"{metric} scores {labels}, {self.dataset} has none: set another eval")

"""The `Truth` of a data set, of annotations that a test holds."""

from pathlib import Path

from posediff.data.pictures.annotations import checked
from posediff.data.pictures.coco_format import from_raw
from posediff.pose.skeleton import skeleton
from posediff.truth import Truth

SIZE = {"width": 999, "height": 999}  # of pictures that have no file


def truth(given, layout="coco17", area="file", needs=(), whole=True):
    """People in pictures. A list is AI Challenger's own form."""
    path, joints = Path("people.json"), skeleton(layout)
    data = from_raw(path, given, joints.joints) if isinstance(given, list) else given
    images = [SIZE | image for image in data["images"]]
    people = checked(path, data | {"images": images}, joints, Path(), area, needs)
    return Truth(layout, whole=whole, people=people.truth)


def video_truth(documents, whole=True):
    """PoseTrack's documents by the names of their files."""
    return Truth("posetrack15", whole=whole, videos=lambda: documents)

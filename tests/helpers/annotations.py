"""The `Truth` of a test's annotations."""

from pathlib import Path

from posediff.data.pictures.annotations import checked
from posediff.data.pictures.coco_format import from_raw
from posediff.pose.skeleton import skeleton
from posediff.truth import Truth

SIZE = {"width": 999, "height": 999}  # of images that have no file


def truth(given, layout="coco17", area="file", needs=(), whole=True):
    """People in images. A list is in AI Challenger's own form."""
    path, joints = Path("people.json"), skeleton(layout)
    data = from_raw(path, given, joints.joints) if isinstance(given, list) else given
    images = [SIZE | image for image in data["images"]]
    people = checked(path, data | {"images": images}, joints, Path(), area, needs)
    return Truth(layout, whole=whole, people=people.truth)


def video_truth(documents, whole=True):
    """PoseTrack's documents by their file names."""
    return Truth("posetrack15", whole=whole, videos=lambda: documents)

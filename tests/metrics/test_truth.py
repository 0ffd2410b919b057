"""Refusals of data sets that a metric cannot score."""

import pytest

from posediff.metrics.aic import aic_official
from posediff.metrics.coco import CocoAP
from posediff.metrics.pck import PCKh, PersonPCK, TorsoPCK
from posediff.metrics.pose_error import PoseError3D
from posediff.metrics.posetrack import PoseTrackAP
from posediff.truth import Truth

FLAT, SOLID = Truth("h36m17", "clips"), Truth("h36m17", "mocap", dimensions=3)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda: CocoAP(SOLID), "eval=coco scores people in images, mocap has none"),
        (lambda: CocoAP(FLAT, aic_official()), "eval=aic_official scores .*, clips has none"),
        (lambda: PoseTrackAP(FLAT), "eval=poseval scores people in videos, clips has none"),
        (lambda: TorsoPCK(SOLID), "eval=pck scores poses in 2D, mocap has none"),
        (lambda: PersonPCK(SOLID), "eval=pck_person scores poses in 2D, mocap has none"),
        (lambda: PCKh(SOLID), "eval=pckh scores poses in 2D, mocap has none"),
        (lambda: PoseError3D(FLAT), "eval=mpjpe scores poses in 3D, clips has none"),
    ],
)
def test_a_metric_refuses_a_data_set_without_its_labels(metric, message):
    with pytest.raises(ValueError, match=message):
        metric()

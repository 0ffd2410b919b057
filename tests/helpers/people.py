"""Frames with people, drawn at random or from given motion."""

import numpy as np

from posediff.people.frame import Frame, Person
from posediff.pose.skeleton import skeleton


def person(rng, K=4, layout_2d="coco17", layout_3d="h36m17", track=None, poses=None):
    """One person; poses: (1 + K, J3, 3), the keypoints and the hypotheses in 3D."""

    def floats(*shape):
        return rng.normal(size=shape).astype(np.float32)

    J = len(skeleton(layout_2d).joints)
    parts = {}
    if layout_3d is not None:
        J3 = len(skeleton(layout_3d).joints)
        poses = floats(1 + K, J3, 3) if poses is None else poses.astype(np.float32)
        parts = {"keypoints_3d": poses[0], "hypotheses_3d": poses[1:], "skeleton_3d": layout_3d}
        parts |= {"spread_3d": abs(floats(J3)), "scores_3d": rng.random(J3).astype(np.float32)}
    points = 100 + 50 * floats(1 + K, J, 2)
    return Person(
        box=np.array([10, 20, 110.25, 220.5], np.float32),
        box_score=0.75,
        keypoints_2d=points[0],
        scores=rng.random(J).astype(np.float32),
        spread_2d=abs(floats(J)),
        hypotheses_2d=points[1:],
        skeleton_2d=layout_2d,
        track=track,
        **parts,
    )


def video(people, rate=25.0, first=0):
    """Frames of a video; people: of each frame."""
    return [
        Frame(f"{n:06d}", (320, 240), tuple(row), index=n, time=n / rate)
        for n, row in enumerate(people, first)
    ]

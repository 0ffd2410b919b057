"""Joint layouts by name.

Joints have COCO's names if COCO has them (right_hip, left_ankle), so that layouts can be matched by
name; pelvis, spine, thorax, neck and head are Human3.6M's own, upper_neck and head_top MPII's.
Bones run from the trunk outwards.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import torch
from torch import Tensor

from posediff.diffusion.choices import one_of


@dataclass(frozen=True)
class Skeleton:
    """Raises ValueError if names, edges, swaps, root and sigmas do not fit together."""

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    swaps: tuple[tuple[int, int], ...]  # joints that a mirror exchanges
    root: int | None  # the origin of root-relative 3D poses
    sigmas: tuple[float, ...] | None = None  # of OKS, for 2D layouts that have them

    def __post_init__(self) -> None:
        J, swapped = len(self.joints), list(chain(*self.swaps))
        used = {*swapped, *chain(*self.edges), self.root or 0}
        if len(set(self.joints)) != J:
            raise ValueError(f"skeleton {self.name}: a joint is named twice in {self.joints}")
        if used - set(range(J)):
            raise ValueError(f"skeleton {self.name}: edges, swaps and root must be in 0..{J - 1}")
        if len(set(swapped)) != len(swapped):
            raise ValueError(f"skeleton {self.name}: a joint has two partners in {self.swaps}")
        if self.sigmas is not None and len(self.sigmas) != J:
            raise ValueError(f"skeleton {self.name}: {len(self.sigmas)} sigmas for {J} joints")

    @cached_property
    def flip(self) -> list[int]:
        """The permutation of joints in a mirror, for x[..., skeleton.flip, :]."""
        partner = dict(self.swaps) | {b: a for a, b in self.swaps}
        return [partner.get(j, j) for j in range(len(self.joints))]

    def rooted(self, poses: Tensor) -> Tensor:
        """Poses (..., J, D) relative to the root joint. Raises ValueError if there is none."""
        if self.root is None:
            raise ValueError(f"skeleton {self.name} has no root joint")
        return poses - poses[..., [self.root], :]

    @cached_property
    def paths(self) -> Tensor:
        """The bones between the root and each joint of a tree, as a matrix (J, E) of 0 and 1."""
        found = torch.zeros(len(self.joints), len(self.edges))
        for e, (inner, outer) in enumerate(self.edges):
            found[outer] = found[inner]
            found[outer, e] = 1
        return found

    def stretched(self, poses: Tensor, factors: Tensor) -> Tensor:
        """Poses (..., J, D) whose bones are `factors` (..., E) times as long, in their directions
        and with the root where it was. Raises ValueError if there is no root joint."""
        inner, outer = (list(ends) for ends in zip(*self.edges, strict=True))
        root, bones = poses - self.rooted(poses), poses[..., outer, :] - poses[..., inner, :]
        return root + self.paths.to(bones) @ (factors[..., None] * bones)

    def adjacency(self) -> Tensor:
        """Bones as a matrix (J, J) of 0 and 1, symmetric, with a zero diagonal."""
        a, (i, j) = torch.zeros(len(self.joints), len(self.joints)), zip(*self.edges, strict=True)
        a[i, j] = a[j, i] = 1.0
        return a

    @cached_property
    def limbs(self) -> list[tuple[int, int]]:
        """The bones of arms and legs that it has as (inner, outer) joint, from shoulder and hip
        outwards."""
        bones = (pair for limb in (ARMS + LEGS).split() for pair in pairwise(limb.split("-")))
        index = self.joints.index
        return [(index(a), index(b)) for a, b in bones if {a, b} <= set(self.joints)]


def skeleton(name: str, key: str = "skeleton") -> Skeleton:
    """The layout of that name. Raises ValueError, naming the configuration `key`, if unknown."""
    one_of(key, name, SKELETONS)
    return SKELETONS[name]


def _named(
    name: str, joints: str, bones: str, root: str = "", sigmas: tuple[float, ...] | None = None
) -> Skeleton:
    """A skeleton of joints in order and bones as chains a-b-c, both separated by spaces."""
    words = tuple(joints.split())
    chains = [[words.index(joint) for joint in chain.split("-")] for chain in bones.split()]
    sides = [(j, words.index("right" + w[4:])) for j, w in enumerate(words) if w[:4] == "left"]
    return Skeleton(
        name,
        words,
        edges=tuple(edge for c in chains for edge in pairwise(c)),
        swaps=tuple((min(pair), max(pair)) for pair in sides),
        root=words.index(root) if root else None,
        sigmas=sigmas,
    )


ARMS = "left_shoulder-left_elbow-left_wrist right_shoulder-right_elbow-right_wrist "
LEGS = "left_hip-left_knee-left_ankle right_hip-right_knee-right_ankle "
BODY = "left_shoulder-right_shoulder-right_hip-left_hip-left_shoulder " + ARMS + LEGS
FACE = "nose-left_eye-left_ear nose-right_eye-right_ear left_eye-right_eye "
BONES_OF_COCO_HEAD = FACE + "left_shoulder-left_ear right_shoulder-right_ear "
BODY_OF_COCO = (
    "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle"
)
HEAD_OF_COCO = "nose left_eye right_eye left_ear right_ear "

# Human3.6M's 17 of 32 joints; index 9 is called Neck/Nose there and is near the nose.
JOINTS_17 = (
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax neck head "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist"
)
LEGS_17 = "pelvis-right_hip-right_knee-right_ankle pelvis-left_hip-left_knee-left_ankle "
ARMS_17 = "thorax-left_shoulder-left_elbow-left_wrist thorax-right_shoulder-right_elbow-right_wrist"
BONES_17 = LEGS_17 + "pelvis-spine-thorax-neck-head " + ARMS_17

BONES_14 = BODY + "left_shoulder-upper_neck-right_shoulder upper_neck-head_top"
HEAD_OF_POSETRACK = "nose head_bottom head_top"
BONES_OF_POSETRACK = BODY + "left_shoulder-head_bottom-right_shoulder head_bottom-nose-head_top"

JOINTS_26 = (
    HEAD_OF_COCO + BODY_OF_COCO + " head_top upper_neck pelvis left_big_toe right_big_toe "
    "left_small_toe right_small_toe left_heel right_heel"
)
BONES_26 = (
    ARMS + LEGS + FACE + "pelvis-upper_neck-head_top left_hip-pelvis-right_hip "
    "left_shoulder-upper_neck-right_shoulder upper_neck-nose left_ankle-left_big_toe "
    "left_ankle-left_small_toe left_ankle-left_heel right_ankle-right_big_toe "
    "right_ankle-right_small_toe right_ankle-right_heel "
)
EYES = "nose-left_eye-left_ear nose-right_eye-right_ear "
EYES_AND_EARS = "right_eye left_eye right_ear left_ear"
ARMS_OF_OPENPOSE = "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"
LEGS_OF_OPENPOSE = "right_hip right_knee right_ankle left_hip left_knee left_ankle"
FEET = (
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"  # OpenPose's
)
BONES_OF_FEET = " ".join(f"{toe.partition('_')[0]}_ankle-{toe}" for toe in FEET.split()) + " "

# the 68 landmarks of a face, and the 21 of a hand, of COCO-WholeBody and Halpe
RIGHT_OF_68 = {
    **{16 - i: i for i in range(8)}, **{43 - i: i for i in range(17, 22)}, 35: 31, 34: 32, 45: 36,
    44: 37, 43: 38, 42: 39, 47: 40, 46: 41, 54: 48, 53: 49, 52: 50, 55: 59, 56: 58, 64: 60, 63: 61,
    65: 67,
}  # fmt: skip
FACE_68 = [
    f"left_face_{RIGHT_OF_68[i]}"
    if i in RIGHT_OF_68
    else f"{'right_' * (i in RIGHT_OF_68.values())}face_{i}"
    for i in range(68)
]
HANDS = [f"{side}_hand_{i}" for side in ("left", "right") for i in range(21)]
FACE_AND_HANDS = " " + " ".join([*FACE_68, *HANDS])
BONES_OF_68_AND_HANDS = " ".join(
    [*(f"nose-{mark}" for mark in FACE_68), "left_wrist-left_hand_0 right_wrist-right_hand_0"]
    + [
        f"{side}_hand_0-" + "-".join(f"{side}_hand_{finger + i}" for i in range(4))
        for side in ("left", "right")
        for finger in range(1, 21, 4)
    ]
)

# COCO's sigmas (the keypoint challenge), CrowdPose's (its api), AI Challenger's (deltas / 2),
# JHMDB's (mmpose).
COCO = (
    .026, .025, .025, .035, .035, .079, .079, .072, .072,
    .062, .062, .107, .107, .087, .087, .089, .089,
)  # fmt: skip
CROWDPOSE = (*COCO[5:], 0.079, 0.079)
JHMDB = (
    .025, .107, .025, .079, .079, .107, .107, .072, .072, .087, .087, .062, .062, .089, .089,
)  # fmt: skip
AIC = (
    .01388152, .01515228, .01057665, .01417709, .01497891, .01402144, .03909642,
    .03686941, .01981803, .03843971, .03412318, .02415081, .01291456, .01236173,
)  # fmt: skip

SKELETONS = {
    s.name: s
    for s in (
        _named("h36m17", JOINTS_17, BONES_17, root="pelvis"),
        # the order and graph of h36m17, but thorax, neck and head differ by 5-10 cm
        _named("mocap17", JOINTS_17, BONES_17, root="pelvis"),
        # MPI-INF-3DHP's own order; what it calls neck is at the neck's base, as Human3.6M's
        # thorax, and its head is between neck and crown
        _named(
            "3dhp17",
            "head_top thorax right_shoulder right_elbow right_wrist left_shoulder left_elbow "
            "left_wrist right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis "
            "spine head",
            LEGS_17 + "pelvis-spine-thorax-head_top thorax-head " + ARMS_17,
            root="pelvis",
        ),
        _named(
            "coco17",
            HEAD_OF_COCO + BODY_OF_COCO,
            BODY + BONES_OF_COCO_HEAD,
            sigmas=COCO,
        ),
        _named("halpe26", JOINTS_26, BONES_26, root="pelvis"),
        _named("halpe136", JOINTS_26 + FACE_AND_HANDS, BONES_26 + BONES_OF_68_AND_HANDS, "pelvis"),
        _named(
            "wholebody133",
            HEAD_OF_COCO + BODY_OF_COCO + " " + FEET + FACE_AND_HANDS,
            BODY + BONES_OF_COCO_HEAD + BONES_OF_FEET + BONES_OF_68_AND_HANDS,
        ),
        # OpenPose's, whose neck is the middle of the shoulders
        _named(
            "body25",
            f"nose mid_shoulder {ARMS_OF_OPENPOSE} pelvis {LEGS_OF_OPENPOSE} {EYES_AND_EARS} "
            + FEET,
            ARMS
            + LEGS
            + EYES
            + BONES_OF_FEET
            + "pelvis-mid_shoulder-nose left_hip-pelvis-right_hip "
            "left_shoulder-mid_shoulder-right_shoulder",
            root="pelvis",
        ),
        _named(
            "openpose18",
            f"nose mid_shoulder {ARMS_OF_OPENPOSE} {LEGS_OF_OPENPOSE} {EYES_AND_EARS}",
            ARMS + LEGS + EYES + "left_hip-mid_shoulder-right_hip mid_shoulder-nose "
            "left_shoulder-mid_shoulder-right_shoulder",
        ),
        _named(
            "mediapipe33",
            "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
            "left_ear right_ear left_mouth right_mouth left_shoulder right_shoulder left_elbow "
            "right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index "
            "left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle "
            "left_heel right_heel left_foot_index right_foot_index",
            BODY
            + BONES_OF_COCO_HEAD
            + " ".join(
                f"nose-{s}_mouth {s}_eye_inner-{s}_eye-{s}_eye_outer {s}_ankle-{s}_heel "
                f"{s}_ankle-{s}_foot_index {s}_thumb-{s}_wrist-{s}_index {s}_wrist-{s}_pinky"
                for s in ("left", "right")
            ),
        ),
        _named(
            "mpii16",
            "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax "
            "upper_neck head_top right_wrist right_elbow right_shoulder left_shoulder left_elbow "
            "left_wrist",
            ARMS + LEGS + "pelvis-thorax-upper_neck-head_top left_hip-pelvis-right_hip "
            "left_shoulder-thorax-right_shoulder",
            root="pelvis",
        ),
        _named(
            "aic14",
            "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
            "right_hip right_knee right_ankle left_hip left_knee left_ankle head_top upper_neck",
            BONES_14,
            sigmas=AIC,
        ),
        _named("crowdpose14", BODY_OF_COCO + " head_top upper_neck", BONES_14, sigmas=CROWDPOSE),
        # PoseTrack's; its files have 17 slots, and the ears among them are never labelled
        _named(
            "posetrack15",
            f"{HEAD_OF_POSETRACK} {BODY_OF_COCO}",
            BONES_OF_POSETRACK,
            sigmas=(*COCO[:3], *COCO[5:]),
        ),
        _named(
            "posetrack17",
            f"{HEAD_OF_POSETRACK} left_ear right_ear {BODY_OF_COCO}",
            f"{BONES_OF_POSETRACK} left_ear-nose-right_ear",
            sigmas=COCO,
        ),
        # of JHMDB's puppets, which call the first joints neck, belly and head
        _named(
            "jhmdb15",
            "upper_neck belly face right_shoulder left_shoulder right_hip left_hip right_elbow "
            "left_elbow right_knee left_knee right_wrist left_wrist right_ankle left_ankle",
            ARMS + LEGS + "face-upper_neck-belly left_shoulder-upper_neck-right_shoulder "
            "left_hip-belly-right_hip",
            sigmas=JHMDB,
        ),
    )
}

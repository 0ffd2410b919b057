"""Bodies of Mixamo, MotionBuilder, 3ds Max and Unreal, by the names of their joints."""

import re

import numpy as np
import pytest

from posediff.prepare.mocap_names import renamed, side_and_part, without_namespace
from posediff.prepare.motion import read_bvh
from posediff.prepare.retarget import mocap17

LIMBS = ("Hip", "Knee", "Ankle", "Collar", "Shoulder", "Elbow", "Wrist")
OURS = [side + part for side in ("Left", "Right") for part in LIMBS]
NAMES = {  # how the limbs and the trunk are called
    "mixamo": (
        "mixamorig:{side}{part}",
        ("UpLeg", "Leg", "Foot", "Shoulder", "Arm", "ForeArm", "Hand"),
    ),
    "motionbuilder": (
        "Subject1:{side}{part}",
        ("UpLeg", "Leg", "Foot", "Shoulder", "Arm", "ForeArm", "Hand"),
    ),
    "3ds max": (
        "Bip01 {letter} {part}",
        ("Thigh", "Calf", "Foot", "Clavicle", "UpperArm", "Forearm", "Hand"),
    ),
    "unreal": (
        "{part}_{small}",
        ("thigh", "calf", "foot", "clavicle", "upperarm", "lowerarm", "hand"),
    ),
    "cmu": ("{side}{part}", LIMBS),
}


def named(tool, joint):
    form, parts = NAMES[tool]
    side = "Left" if joint.startswith("Left") else "Right"
    part = parts[LIMBS.index(joint.removeprefix(side))]
    return form.format(side=side, part=part, letter=side[0], small=side[0].lower())


@pytest.mark.parametrize("tool", NAMES)
def test_limbs_are_told_by_their_names(tool):
    theirs = {joint: without_namespace(named(tool, joint)) for joint in OURS}
    others = ["LHipJoint", "LeftToeBase", "Bip01 L Finger0", "HeadTop_End", "ball_l"]
    found = renamed([*theirs.values(), *others])
    assert found == theirs


def test_the_trunk_keeps_its_words():
    names = ["Hips", "Bip01 Spine", "mixamorigSpine1", "spine_02", "Neck", "neck_01", "Bip01 Head"]
    assert renamed(names) == {
        "Spine": "Bip01 Spine", "Spine1": "mixamorigSpine1", "Spine2": "spine_02",
        "Neck": "Neck", "Neck1": "neck_01", "Head": "Bip01 Head",
    }  # fmt: skip
    assert side_and_part("Spine") is None


def bvh(path, tool, spine="Spine1"):
    """A standing body of centimetres whose limbs have the tool's names, two frames."""
    up = {"Neck": (0, 30, 0), "Head": (0, 10, 0), spine: (0, 20, 0)}

    def joint(name, offset, *below):
        return [
            f"JOINT {name}",
            "{",
            "OFFSET " + " ".join(map(str, offset)),
            "CHANNELS 3 Zrotation Xrotation Yrotation",
            *(line for lines in below for line in lines),
            "}",
        ]

    def leg(side, x):
        hip, knee, ankle = (named(tool, f"{side}{part}") for part in LIMBS[:3])
        return joint(hip, (x, 0, 0), joint(knee, (0, -40, 0), joint(ankle, (0, -42, 0))))

    def arm(side, x):
        names = [named(tool, f"{side}{part}") for part in LIMBS[3:]]
        offsets = [(x, 25, 0), (2 * x, 0, 0), (0, -28, 0), (0, -25, 0)]
        chain = []
        for name, offset in reversed([*zip(names, offsets, strict=True)]):
            chain = joint(name, offset, *([chain] if chain else []))
        return chain

    trunk = joint(
        spine,
        up[spine],
        joint("Neck", up["Neck"], joint("Head", up["Head"])),
        arm("Left", 5),
        arm("Right", -5),
    )
    root = [
        "ROOT Hips",
        "{",
        "OFFSET 0 0 0",
        "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
    ]
    tree = [*root, *leg("Left", 9), *leg("Right", -9), *trunk, "}"]
    width = 6 + 3 * sum(line.startswith("JOINT") for line in tree)
    frames = ["0 90 0 " + "0 " * (width - 3)] * 2
    path.write_text(
        "\n".join(["HIERARCHY", *tree, "MOTION", "Frames: 2", "Frame Time: 0.02", *frames])
    )
    return read_bvh(path)


@pytest.mark.parametrize("tool", NAMES)
def test_a_body_has_the_same_17_joints_under_any_names(tmp_path, tool):
    found = mocap17(bvh(tmp_path / "a.bvh", tool))
    assert found.shape == (2, 17, 3)
    centimetres = np.round(found[0] / 10, 6)
    expected = {
        0: (0, 90), 1: (-9, 90), 3: (-9, 8), 6: (9, 8), 7: (0, 110), 8: (0, 140), 9: (0, 150),
        10: (0, 161.5), 11: (15, 135), 13: (15, 82), 16: (-15, 82),
    }  # fmt: skip
    for j, (x, z) in expected.items():
        assert centimetres[j].tolist() == [x, 0, z], j


def test_names_that_cannot_be_told_are_given_by_the_user(tmp_path):
    bvh(tmp_path / "a.bvh", "cmu")
    text = (tmp_path / "a.bvh").read_text()
    odd = {name: f"bone{n}" for n, name in enumerate([*OURS, "Spine1", "Neck", "Head"])}
    odd_text = re.sub(r"JOINT (\w+)", lambda found: f"JOINT {odd[found[1]]}", text)
    (tmp_path / "odd.bvh").write_text(odd_text)
    motion = read_bvh(tmp_path / "odd.bvh")
    with pytest.raises(ValueError, match=r"odd\.bvh: unknown body: .* give them as --joints"):
        mocap17(motion)
    given = {name: bone for name, bone in odd.items() if not name.endswith("Collar")}
    assert np.array_equal(mocap17(motion, names=given), mocap17(read_bvh(tmp_path / "a.bvh")))
    with pytest.raises(ValueError, match=r"--joints names nothing, which it lacks"):
        mocap17(motion, names=given | {"Head": "nothing"})


def test_real_cmu_files_renamed_give_the_same_joints(shared, tmp_path):
    text = (shared / "data/samples/mocap/39_07.bvh").read_text()
    head, _, body = text.partition("MOTION")
    short = "MOTION\nFrames: 3\n" + "\n".join(body.splitlines()[2:6]) + "\n"
    up = dict(zip(LIMBS, NAMES["mixamo"][1], strict=True))
    limb = rf"JOINT (Left|Right)({'|'.join(LIMBS)})\b"
    forms = {
        "plain": head,
        "namespace": re.sub(r"(ROOT|JOINT) ", r"\1 Subject1:", head),
        "spaces": re.sub(r"JOINT Left(\w+)", r"JOINT Bip01 L \1", head),
        "mixamo": re.sub(limb, lambda found: f"JOINT {found[1]}{up[found[2]]}", head),
    }
    found = {}
    for name, tree in forms.items():
        (tmp_path / f"{name}.bvh").write_text(tree + short)
        found[name] = mocap17(read_bvh(tmp_path / f"{name}.bvh"))
        assert np.array_equal(found[name], found["plain"]), name

"""ASF + AMC and BVH: bodies of two and three bones, whose positions have a closed form."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posediff.prepare.motion import read_amc, read_bvh, rotation

ASF = """# a root, an upper arm and a forearm
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name fore
     direction 0 0 1
     length 3
     axis 0 0 0 XYZ
  end
  begin
     id 2
     name upper
     direction 1 0 0
     length 2
     axis 0 0 90 XYZ
     dof rx
     limits (-160.0 20.0)
  end
:hierarchy
  begin
    root upper
    upper fore
  end
"""
AMC = """#!OML:ASF
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
upper 0
2
root 1 2 3 90 0 90
upper 90
"""
BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 9 9 9
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Arm
  {
    OFFSET 2 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 0 3
    }
  }
}
MOTION
Frames: 2
Frame Time: .0083333
1 2 3  0 0 0  0 0 0
1 2 3  90 0 90  0 0 90
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_acclaim_bones_end_where_hand_calculation_puts_them(write):
    motion = read_amc(write("a_1.amc", AMC), write("a.asf", ASF))
    assert motion.unit == pytest.approx(56.44, abs=0.01)  # inches / 0.45
    assert motion.fps is None
    # at rest: the bones along x and z
    np.testing.assert_allclose(motion.points["root"], [[1, 2, 3]] * 2)
    np.testing.assert_allclose(motion.points["upper"][0], [3, 2, 3])
    np.testing.assert_allclose(motion.points["fore"][0], [3, 2, 6])
    # the upper bone's x axis is the world's y: its 90 degrees take x to -z and z to x; the rotation
    # of the root, first about x and then about z, takes x, y, z to y, z, x
    np.testing.assert_allclose(motion.points["upper"][1], [1 - 2, 2, 3], atol=1e-12)
    np.testing.assert_allclose(motion.points["fore"][1], [-1, 2 + 3, 3], atol=1e-12)


def test_bvh_joints_are_where_hand_calculation_puts_them(write):
    motion = read_bvh(write("a.bvh", BVH))
    assert motion.fps == pytest.approx(120, abs=0.01)
    assert motion.unit is None
    np.testing.assert_allclose(motion.points["Hips"], [[1, 2, 3]] * 2)  # not OFFSET
    np.testing.assert_allclose(motion.points["Arm"][0], [3, 2, 3])
    np.testing.assert_allclose(motion.points["Arm:end"][0], [3, 2, 6])
    # Rz Ry Rx of 90, 0, 90 takes x, y, z to y, z, x; the arm's own 90 about y takes z to x first
    np.testing.assert_allclose(motion.points["Arm"][1], [1, 4, 3], atol=1e-12)
    np.testing.assert_allclose(motion.points["Arm:end"][1], [1, 4 + 3, 3], atol=1e-12)


def test_rotations_follow_the_order_of_axes_of_each_format(write):
    """Acclaim's first listed axis rotates first (scipy: xyz), BVH's is the leftmost (ZXY)."""
    (a, b, c), (d, e, f), (g, h, i) = angles = np.random.default_rng(0).uniform(-180, 180, (3, 3))
    asf = ASF.replace("axis 0 0 90", f"axis {a} {b} {c}").replace("dof rx", "dof rx ry rz")
    amc = f":DEGREES\n1\nroot 0 0 0 {d} {e} {f}\nupper {g} {h} {i}\n"
    motion = read_amc(write("a_1.amc", amc), write("a.asf", asf))
    frame, root, turn = (Rotation.from_euler("xyz", x, degrees=True) for x in angles)
    upper = root * frame * turn * frame.inv()
    np.testing.assert_allclose(motion.rotations["upper"][0], upper.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(motion.points["upper"][0], upper.apply([2, 0, 0]), atol=1e-12)

    head = BVH.partition("Frames")[0]
    numbers = " ".join(map(str, (0, 0, 0, d, e, f, g, h, i)))
    motion = read_bvh(write("b.bvh", f"{head}Frames: 1\nFrame Time: 1\n{numbers}\n"))
    arm = Rotation.from_euler("ZYX", angles[1], degrees=True) * Rotation.from_euler(
        "ZXY", angles[2], degrees=True
    )
    np.testing.assert_allclose(motion.rotations["Arm"][0], arm.as_matrix(), atol=1e-12)


def test_rotation_is_the_product_from_left_to_right():
    angles = np.random.default_rng(1).uniform(-180, 180, (50, 3))
    expected = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
    np.testing.assert_allclose(rotation("yxz", angles), expected, atol=1e-12)


def test_radians_and_degrees_are_read_the_same(write):
    quarter = str(np.pi / 2)
    asf = ASF.replace("angle deg", "angle rad").replace("0 0 90 XYZ", f"0 0 {quarter} XYZ")
    amc = AMC.replace(":DEGREES", ":RADIANS").replace("90", quarter)
    ours = read_amc(write("a_1.amc", amc), write("a.asf", asf))
    degrees = read_amc(write("b_1.amc", AMC), write("b.asf", ASF))
    np.testing.assert_allclose(ours.points["fore"], degrees.points["fore"], atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 3 90 0 90\n", "2 3 90 0\n", "a_1.amc: frame 1 has 5 values of 'root'"),
        ("upper 90\n", "", "a_1.amc: 1 of 2 frames have upper: the file is cut short"),
        ("upper 90", "lower 90", "a_1.amc: frame 1 has 1 values of 'lower'"),
        ("upper 90", "upper nan", "a_1.amc: upper contains NaN"),
        ("upper 90", "upper 1e400", "a_1.amc: upper contains .* too large"),
        ("upper 90", "upper x", "a_1.amc: upper: could not convert"),
        (AMC, "", "a_1.amc: 0 of 0 frames"),
    ],
)
def test_an_error_in_an_amc_file_is_one_line_with_its_place(write, old, new, message):
    with pytest.raises(ValueError, match=message) as error:
        read_amc(write("a_1.amc", AMC.replace(old, new)), write("a.asf", ASF))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":hierarchy", ":graph", "a.asf: nothing under :hierarchy"),
        ("length 0.45", "length 0", "a.asf: length under :units must be above 0"),
        ("length 0.45", "", "a.asf: length under :units"),
        ("direction 1 0 0", "direction 1 0", "a.asf: direction of upper must be 3 numbers, not 2"),
        ("     length 3\n", "", "a.asf: length of fore must be 1 numbers, not 0"),
        ("dof rx", "dof l", r"a.asf: upper has unknown channels: \['l'\]"),
        ("0 0 90 XYZ", "0 0 90 XXZ", "a.asf: axis of upper must end in an order like XYZ"),
        ("upper fore\n", "upper fore hand\n", "a.asf: hierarchy names hand"),
        ("root upper\n", "", "a.asf: hierarchy puts fore below upper, not below the root"),
        ("upper fore\n", "upper fore\nfore upper\n", "a.asf: hierarchy places upper twice"),
        ("upper fore\n", "upper fore\nfore root\n", "a.asf: hierarchy places root twice"),
    ],
)
def test_an_error_in_an_asf_file_is_one_line_with_its_place(write, old, new, message):
    with pytest.raises(ValueError, match=message) as error:
        read_amc(write("a_1.amc", AMC), write("a.asf", ASF.replace(old, new)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0 0 90\n", "0 0\n", "MOTION must have 2 frames of 9 numbers, but it has 17 numbers"),
        ("Frames: 2", "Frames: 0", "MOTION must have 0 frames"),
        ("Frame Time: .0083333", "", "MOTION must begin with"),
        ("Time: .0083333", "Time: 0", "MOTION must begin with"),
        ("90 0 90", "90 nan 90", "MOTION contains NaN"),
        ("OFFSET 2 0 0", "OFFSET 2 0", "OFFSET of Arm"),
        ("3 Zrotation", "4 Zrotation", "the CHANNELS of Arm are not 4"),
        (
            "Xrotation Yrotation\n",
            "Xrotation Yscale\n",
            "the CHANNELS of Arm are not 3",
        ),
        ("JOINT Arm", "BONE Arm", "HIERARCHY cannot be read at 'BONE' after 'Hips'"),
        ("JOINT Arm", "JOINT Hips", "two joints are called Hips"),
        ("}\nMOTION", "MOTION", "no whole HIERARCHY"),
        (BVH, "", "no whole HIERARCHY"),
    ],
)
def test_an_error_in_a_bvh_file_is_one_line_with_its_place(write, old, new, message):
    with pytest.raises(ValueError, match=f"a.bvh: {message}") as error:
        read_bvh(write("a.bvh", BVH.replace(old, new)))
    assert "\n" not in str(error.value)

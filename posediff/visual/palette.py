"""Colours of all drawings, BGR."""

from posediff.pose.skeleton import Skeleton
from posediff.visual.canvas import Colour

BLACK, INK, FAINT = (0, 0, 0), (40, 40, 40), (140, 140, 140)
GRID, WHITE = (225, 225, 225), (255, 255, 255)
# blue, vermilion and green of Okabe and Ito, which colour-blind eyes distinguish
LEFT, RIGHT, MIDDLE, TRUE = (178, 114, 0), (0, 94, 213), (75, 75, 75), (115, 158, 0)


def joint_colours(skeleton: Skeleton) -> list[Colour]:
    sides = {"left": LEFT, "right": RIGHT}
    return [sides.get(joint.split("_")[0], MIDDLE) for joint in skeleton.joints]


def bone_colour(a: Colour, b: Colour) -> Colour:
    """Colour of a bone between joints of two colours: from pelvis to left hip is left; from left
    hip to right hip is neither."""
    sides = {a, b} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE

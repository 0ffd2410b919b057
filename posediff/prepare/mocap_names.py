"""Names of the joints of motion files -> those of CMU's BVH files (LeftHip .. RightWrist).

The names of Mixamo (mixamorig:LeftUpLeg), MotionBuilder (LeftUpLeg), 3ds Max (Bip01 L Thigh),
Unreal (thigh_l) and others have a side, which is a word or a letter of its own, and a part of the
body. A namespace (Subject1:) is no part of a name. Names that cannot be told so are given by the
user.
"""

import re
from collections.abc import Iterable, Mapping

PARTS = {  # part of CMU's names: words of others, the first that the file has on that side
    "Hip": ("hip", "thigh", "upleg", "upperleg", "femur"),
    "Knee": ("knee", "shin", "calf", "lowerleg", "leg"),
    "Ankle": ("ankle", "foot"),
    "Collar": ("collar", "clavicle", "shoulder"),  # the last if the arm has a word of its own
    "Shoulder": ("upperarm", "arm", "shldr", "shoulder"),
    "Elbow": ("elbow", "forearm", "lowerarm"),
    "Wrist": ("wrist", "hand"),
}
SIDES = {"left": "Left", "l": "Left", "right": "Right", "r": "Right"}
TRUNK = re.compile(r"(?:^|[^a-z])(spine|chest|neck|head)[ _]*(\d*)$")


def without_namespace(name: str) -> str:
    return name.rpartition(":")[2]


def side_and_part(name: str) -> tuple[str, str] | None:
    """The side of a joint and its part in small letters; None if its name has no side."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    places = [k for k, word in enumerate(words) if word.lower() in SIDES]
    if not places:
        return None
    k = places[0]
    part = "".join(words[k + 1 :] or words[:k]).lower()
    return SIDES[words[k].lower()], part


def renamed(names: Iterable[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """CMU's name -> the file's, of the joints that can be told; those of the user come first. The
    trunk keeps its own words: Spine, Spine1, Chest, Chest2, Neck, Head."""
    sided: dict[tuple[str, str], str] = {}
    found: dict[str, str] = {}
    for name in names:
        if key := side_and_part(name):
            sided.setdefault(key, name)
        elif trunk := TRUNK.search(re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()):
            number = str(int(trunk[2])) if trunk[2] else ""
            found.setdefault(trunk[1].capitalize() + number, name)
    for side in ("Left", "Right"):
        for part, words in PARTS.items():
            word = next((word for word in words if (side, word) in sided), None)
            if word is not None:
                found[side + part] = sided[side, word]
        if found.get(f"{side}Collar") == found.get(f"{side}Shoulder"):
            found.pop(f"{side}Collar", None)
    return found | dict(given or {})

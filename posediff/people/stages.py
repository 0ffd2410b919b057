"""From boxes to people: poses in 2D, then in 3D, and both as a `Frame`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from posediff.checkpoint import load
from posediff.data.pictures.picture_files import RGB
from posediff.diffusion import Model, Poses
from posediff.inference.photo_input import people_sample
from posediff.inference.request import data_settings
from posediff.people.found_boxes import FoundBoxes
from posediff.people.frame import Floats, Frame, Person
from posediff.people.lifting import Draws
from posediff.pose.affine import corners

ROLES = ("image2d", "video2d", "lift3d")  # what a model does


@dataclass(frozen=True)
class Seen:
    """A picture with its people in 2D."""

    name: str
    size: tuple[int, int]  # width and height
    found: FoundBoxes  # N
    poses: Poses | None  # of N people; None if there are none
    seconds: Mapping[str, float]
    image: RGB | None = None
    index: int | None = None  # of the frame in its video
    time: float | None = None  # seconds
    tracks: Sequence[int] | None = None  # (N,)

    def ids(self) -> list[str]:
        return [f"{self.name}/{n}" for n in range(len(self.found.boxes))]


def models_of(models: Any, lift: bool, film: bool, device: str) -> dict[str, Model]:
    """The models of an estimation by role, in evaluation mode on the device: those given, else the
    shipped ones of that name. Of a film the 2D model is video2d, if it is given.

    models: a mapping from role, or a sequence, of names, folders or loaded models, or None.
    Raises FileNotFoundError if there is no such model, ValueError for an unknown role, two
    models of one, or what is no model of poses.
    """
    given = _by_role(models)
    eye = "video2d" if film and "video2d" in given else "image2d"
    found = {}
    for name in (eye, "lift3d") if lift else (eye,):
        found[name] = _loaded(given.get(name, name)).eval().to(device)
        if role(found[name]) != name:
            raise ValueError(f"models: the model given as {name} is one of {role(found[name])}")
    return found


def _by_role(models: Any) -> dict[str, Any]:
    if models is None or isinstance(models, Mapping):
        given = dict(models or {})
        if unknown := given.keys() - {*ROLES}:
            names = ", ".join(map(str, unknown))
            raise ValueError(f"models: {names} is none of {', '.join(ROLES)}")
        return given
    if not isinstance(models, Sequence) or isinstance(models, str):
        raise ValueError(f'models: give {{"image2d": ..., "lift3d": ...}} or a list, not {models}')
    found = dict[str, Any]()
    for model in map(_loaded, models):
        if role(model) in found:
            raise ValueError(f"models: two of {role(model)}; give one of each")
        found[role(model)] = model
    return found


def _loaded(model: Any) -> Model:
    named = isinstance(model, str | Path)
    found: Any = load(model) if named else model
    if not isinstance(found, Model):
        what = model if named else f"a {type(model).__name__}"
        raise ValueError(
            f"models: {what} is no model of poses; give the name of one that ships, such as "
            "image2d, or its folder, or a loaded one (detect= names a detector)"
        )
    return found


def role(model: Model) -> str:
    """Kind of a model, by the data that it was trained on."""
    if "offsets" in model.trained_on:
        return "video2d"
    return "image2d" if "codec" in model.trained_on else "lift3d"


def poses_2d(model: Model, image: RGB, name: str, found: FoundBoxes, draws: Draws) -> Poses | None:
    """The poses of the people in a picture, in its pixels; None without people."""
    if not len(found.boxes):
        return None
    settings = data_settings(model, "size", "codec", "mean", "std")
    return draws.predict(model, people_sample(image, name, found.boxes.tolist(), **settings))


def framed(seen: Seen, lifted: Sequence[Poses | None]) -> Frame:
    """The picture and its people. lifted (N,): their 3D poses."""
    boxes, people = corners(seen.found.boxes), []
    for n, pose in enumerate(seen.poses or ()):
        track = None if seen.tracks is None else seen.tracks[n]
        score = float(seen.found.scores[n])
        people.append(_in_3d(_in_2d(boxes[n], score, pose, track), lifted[n]))
    return Frame(
        seen.name, seen.size, tuple(people), seen.image, seen.index, seen.time, dict(seen.seconds)
    )


def _in_2d(box: Tensor, score: float, pose: Poses, track: int | None) -> Person:
    return Person(
        floats(box),
        score,
        floats(pose.keypoints),
        floats(pose.scores),
        floats(pose.spread),
        floats(pose.hypotheses),
        pose.skeleton,
        track,
    )


def _in_3d(person: Person, pose: Poses | None) -> Person:
    if pose is None:
        return person
    return replace(
        person,
        keypoints_3d=floats(pose.keypoints),
        spread_3d=floats(pose.spread),
        hypotheses_3d=floats(pose.hypotheses),
        scores_3d=floats(pose.scores),
        skeleton_3d=pose.skeleton,
    )


def floats(x: Tensor) -> Floats:
    """A copy as float32 of numpy."""
    return x.detach().float().cpu().numpy().copy()

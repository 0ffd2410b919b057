"""The request of a command line of files and options, checked before anything is loaded."""

import argparse
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from posediff.data.pictures.picture_files import is_image
from posediff.data.video.frames import FILMS
from posediff.diffusion.choices import one_of
from posediff.inference.keypoint_files import KINDS
from posediff.inference.photo_input import KINDS as PHOTOS
from posediff.inference.photo_input import photo_files
from posediff.outputs.save import FORMATS, MOVING, SOLID

LAYOUT = "coco17"
NAMES = 1000  # of files that a wrong one is compared with


def beside(path: Path) -> list[str]:
    """The files that are in the folder of a path, as the user would name them, at most NAMES."""
    if not path.parent.is_dir():
        return []
    names = (file.name for file in islice(path.parent.iterdir(), NAMES) if file.exists())
    return [str(path.with_name(name)) for name in names]


def refuse_unused(asked: argparse.Namespace, kinds: Mapping[Path, str]) -> None:
    """Raise ValueError for a format that does not exist, and for options that none of the files
    can follow. kinds: of the files, by their suffixes.

    Raises FileNotFoundError for a folder with nothing in it that is read, ValueError for a file of
    no kind that is read.
    """
    formats = asked.formats or []
    for name in formats:
        one_of("--formats", name, FORMATS)
    solid, films = (",".join(x for x in formats if x in some) for some in (SOLID, MOVING))
    if asked.flat and (solid or asked.denoising):
        raise ValueError(
            f"{f'--formats {solid}' if solid else '--denoising'}: of people in 3D, which --2d "
            "leaves out; leave out one of the two"
        )
    for path, kind in kinds.items():
        require_read(path, kind)
    keypoints = {"--layout": asked.layout != LAYOUT, "--units": asked.units}
    pictures = {"--2d": asked.flat, "--boxes": asked.boxes, "--formats": formats}
    of = {kind if kind in (*KINDS, *FILMS) else "photo" for kind in kinds.values()}
    for options, what, some in (
        (keypoints | {"--image-size": asked.image_size}, "files of keypoints", KINDS),
        (pictures, "photos and videos", ("photo", *FILMS)),
        ({"--gif": asked.gif, f"--formats {films}": films}, "videos", FILMS),
    ):
        found = [option for option, given in options.items() if given]
        if found and not of & {*some}:
            raise ValueError(
                f"{', '.join(found)}: only for {what}, and none is given; leave it out"
            )


def require_read(path: Path, kind: str) -> None:
    """Raise FileNotFoundError for a folder without photos and keypoints, ValueError for a file of
    another kind. Files by these suffixes are judged when they are read."""
    if path.is_dir() and kind not in KINDS:
        photo_files(path)
    elif kind not in (*KINDS, *FILMS, *PHOTOS) and not is_image(path):
        raise ValueError(
            f"{path}: no photo, or a damaged one; videos are {', '.join(FILMS)}, keypoints "
            f"{', '.join(KINDS)}"
        )

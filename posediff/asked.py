"""The request of a command line of files and options, checked before anything is loaded."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from posediff.data.pictures.picture_files import is_image
from posediff.data.video.frames import FILMS
from posediff.diffusion.choices import one_of
from posediff.files import free_name, require_writable, safe_name
from posediff.inference.keypoint_files import KINDS, keypoint_files
from posediff.inference.keypoints import WRITTEN
from posediff.inference.photo_input import KINDS as PHOTOS
from posediff.inference.photo_input import photo_files
from posediff.outputs.places import refuse_inputs
from posediff.outputs.save import FEWEST, FORMATS, MOVING, SOLID, written_names

LAYOUT = "coco17"
PAGE, DENOISING = "view.html", "denoising.gif"  # beside the files of the formats
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


def refuse_short(path: Path, frames: int, formats: Sequence[str]) -> None:
    """Raise ValueError if formats are asked for that a video of so many frames is too short for."""
    moving = [name for name in formats if name in MOVING]
    if moving and frames < FEWEST:
        raise ValueError(
            f"{path}: a video of {frames} frame, and --formats {','.join(moving)} needs {FEWEST} "
            "frames or more; leave it out"
        )


def formats(asked: argparse.Namespace, film: bool, several: bool) -> list[str]:
    """frames.json and the formats that are asked for, of which photos leave out those of videos; or
    those of the kind of input. A film of one picture is none."""
    if asked.formats:
        return ["json", *(x for x in asked.formats if film or x not in MOVING)]
    film = film and several
    angles = [] if asked.flat else ["angles"]
    drawn = ["video", *(["gif"] if asked.gif else [])] if film else ["pictures"]
    return ["json", "csv", "npz", *angles, *drawn]


def folders_of(asked: argparse.Namespace, kinds: Mapping[Path, str]) -> dict[Path, Path]:
    """The folder of the results of every file: --to, and in it one of its own for each video and
    each file of keypoints that is not alone, by its name. Of two with one name it has the path.

    Raises OSError for one that cannot be made or written in.
    """
    apart = [path for path, kind in kinds.items() if kind in (*KINDS, *FILMS)]
    folders, taken = dict.fromkeys(kinds, asked.to), set[str]()
    stems = Counter(path.stem for path in apart)
    for path in apart if len(kinds) > 1 else ():
        whole = safe_name(str(path).replace(".", "_"))
        name = free_name(path.stem if stems[path.stem] == 1 else whole, taken)
        folders[path] = asked.to / name
    for folder in (asked.to, *folders.values()):
        require_writable(folder, "--to ")
    return folders


def refuse_overwriting(
    asked: argparse.Namespace, kinds: Mapping[Path, str], folders: Mapping[Path, Path]
) -> None:
    """Raise ValueError if a result would be written over a file that is given, or over a page that
    posediff has not written: beside its own is frames.json."""
    given = [Path(asked.boxes)] if asked.boxes else []
    for path, kind in kinds.items():
        given += keypoint_files(path) if path.is_dir() and kind in KINDS else photo_files(path)
    for folder, kind in dict.fromkeys((folders[path], kind) for path, kind in kinds.items()):
        names = [*WRITTEN, DENOISING]
        if kind not in KINDS:
            names = [*written_names(formats(asked, kind in FILMS, several=True)), DENOISING]
            page, own = folder / PAGE, (folder / names[0]).exists()
            if page.exists() and not (own or asked.flat):
                raise ValueError(
                    f"{page}: is there, and not of posediff, which would write over it; name "
                    "another folder, --to FOLDER"
                )
        refuse_inputs(folder, names, given, "--to FOLDER")

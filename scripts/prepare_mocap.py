"""Your own motion capture files (ASF + AMC, BVH) -> a file of dataset=mocap, and its cameras.

    python scripts/prepare_mocap.py FOLDER [--out data/mocap17]

FOLDER and its subfolders contain .bvh files, or .amc and .asf files; the names of .amc files begin
with that of their .asf file (39_08.amc, 39.asf). Subject and action are read from file names, or
from --table:

    HDM_<subject>_<action>_<take>_<frames per second>    as in HDM05
    <subject>_<take>, both numbers                       as in CMU's data, action "cmu"
    <subject>_<action>, perhaps _ and more               any others
"""

import argparse
import csv
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posediff.data.lifting.recording import SPLITS, Recording, write
from posediff.doors.json_door import read_json
from posediff.files import read_text, write_json
from posediff.prepare.motion import Motion, read_amc, read_bvh
from posediff.prepare.retarget import COMMON, SPINES, centre, cut, mocap17, resample

HDM05 = re.compile(r"HDM_(?P<subject>[^_]+)_(?P<action>[^_]+)_[^_]+_(?P<fps>\d+)")
CMU = re.compile(r"(?P<subject>\d+)_\d+")
OTHER = re.compile(r"(?P<subject>[^_]+)_(?P<action>[^_]+)(?:_.*)?")

# Four virtual cameras like Human3.6M's: degrees around the origin, millimetres from it along the
# floor and above it; focal length and centre in pixels, k1. All look at 0.9 m above the origin.
CAMERAS = (
    (52, 5300, 1550, (1145.0, 1145.0), (512.0, 508.0), -0.2),
    (128, 5600, 1500, (1149.0, 1149.5), (514.0, 511.0), -0.195),
    (231, 5400, 1620, (1153.0, 1154.0), (516.0, 514.0), -0.19),
    (309, 5700, 1480, (1157.0, 1158.5), (518.0, 517.0), -0.185),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="contains .asf and .amc, or .bvh files")
    home = Path(os.environ.get("POSEDIFF_DATA") or "data") / "mocap17"
    parser.add_argument("--out", type=Path, default=home, help="default: %(default)s")
    parser.add_argument("--name", help="of the written file; default: FOLDER's")
    parser.add_argument("--split", choices=sorted(SPLITS), default="train", help="of all clips")
    parser.add_argument(
        "--table", type=Path, help="csv: file (no ending), subject, action[, split]"
    )
    unit = "millimetres per unit; default: the ASF's, for BVH the usual unit that fits a leg"
    parser.add_argument("--unit", type=positive, help=unit)
    fps = "frames per second of AMC files without a rate in their name; default: %(default)s"
    parser.add_argument("--fps", type=positive, default=120, help=fps)
    joints = (
        'json: {"RightHip": the file\'s name of it, ...}, if names of joints are not understood'
    )
    parser.add_argument("--joints", type=Path, help=joints)
    args = parser.parse_args(arguments)
    try:
        prepare(args)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def positive(word: str) -> float:
    number = float(word)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not above 0")
    return number


def prepare(args: argparse.Namespace) -> None:
    name, paths = args.name or args.folder.resolve().name, motion_files(args.folder)
    table = read_table(args.table, set(paths)) if args.table else {}
    joints = read_joints(args.joints) if args.joints else None
    skeletons = [path for path in shown(args.folder) if path.suffix.lower() == ".asf"]
    recordings, bad = list[Recording](), list[str]()
    for stem, path in paths.items():
        label = {"source": name, "split": args.split} | label_of(stem) | table.get(stem, {})
        try:
            clips = clips_of(path, label, skeletons, args, joints)
        except (OSError, ValueError) as error:
            bad.append(str(error))
            continue
        if not clips:
            print(f"{path}: left out, no half second without jumps in it")
        recordings += clips
    if not recordings:
        raise ValueError(bad[0] if bad else f"{args.folder}: no clip of at least half a second")

    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / f"{name}.npz", recordings)
    if not (args.out / "cameras.json").exists():
        write_cameras(args.out / "cameras.json")
    frames = sum(len(recording.joints) for recording in recordings)
    people = ", ".join(sorted({recording.subject for recording in recordings}))
    print(f"wrote {args.out / name}.npz: {len(recordings)} clips, {frames:,} frames of {people}")
    if bad:
        raise ValueError(f"{len(bad)} of {len(paths)} files left out: {'; '.join(bad)}")


def clips_of(
    path: Path,
    label: dict[str, str],
    skeletons: Sequence[Path],
    args: argparse.Namespace,
    joints: dict[str, str] | None,
) -> list[Recording]:
    """The clips of a file, without jumps. Raises ValueError if it cannot be used."""
    if "subject" not in label:
        raise ValueError(f"{path}: no <subject>_<action> in its name: give a --table")
    stated, motion = float(label.pop("fps", args.fps)), read(path, skeletons)
    fps = round(motion.fps or stated)
    if fps < 1:
        raise ValueError(f"{path}: less than 1 frame per second, too few to interpolate")
    whole, clips = centre(resample(mocap17(motion, args.unit, joints), fps)), list[Recording]()
    for n, part in enumerate(cut(whole)):
        clip = path.stem if len(part) == len(whole) else f"{path.stem}#{n}"
        clips.append(Recording(clip, **label, native_fps=fps, joints=part))
    return clips


def shown(folder: Path) -> list[Path]:
    """All files of a folder and its subfolders, without hidden ones."""
    return [path for path in sorted(folder.rglob("*")) if not path.name.startswith(".")]


def read_joints(path: Path) -> dict[str, str]:
    """The file's names of joints by ours. Raises ValueError if it is no such table."""
    names = read_json(path, "table of names")
    allowed = {*COMMON.split(), *SPINES} - {"spine", "top"}
    if not isinstance(names, dict) or not all(isinstance(x, str) for x in names.values()):
        raise ValueError(f'{path}: must be {{"RightHip": the name of it in the files, ...}}')
    if unknown := names.keys() - allowed:
        ours = ", ".join(sorted(allowed))
        raise ValueError(f"{path}: {', '.join(sorted(unknown))} is none of {ours}")
    return names


def motion_files(folder: Path) -> dict[str, Path]:
    """All AMC and BVH files of a folder and its subfolders, by their names without suffix."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no folder; give one with .asf and .amc, or .bvh files")
    paths: dict[str, Path] = {}
    for path in shown(folder):
        if path.suffix.lower() in (".amc", ".bvh"):
            first = paths.setdefault(path.stem, path)
            if first != path:
                raise ValueError(f"{first} and {path} have the same name: rename one")
    if not paths:
        raise FileNotFoundError(f"{folder}: no .amc and no .bvh file in it")
    return paths


def read(path: Path, skeletons: Sequence[Path]) -> Motion:
    if path.suffix.lower() == ".bvh":
        return read_bvh(path)
    end = r"(?![a-zA-Z0-9])"  # 3.asf is not the skeleton of 39_08.amc
    own = [asf for asf in skeletons if re.match(re.escape(asf.stem) + end, path.stem)]
    if not own:
        raise FileNotFoundError(f"{path}: no .asf file in the folder has the start of its name")
    # the longest name, and of copies the one in the same folder
    return read_amc(path, max(own, key=lambda asf: (len(asf.stem), asf.parent == path.parent)))


def label_of(stem: str) -> dict[str, str]:
    """Subject, action, source and fps in the name of a file, as far as it has them."""
    if found := HDM05.fullmatch(stem):
        return {"source": "HDM05", **found.groupdict()}
    if found := CMU.fullmatch(stem):
        return {"source": "CMU", "subject": f"cmu{found['subject']}", "action": "cmu"}
    found = OTHER.fullmatch(stem)
    return found.groupdict() if found else {}


def read_table(path: Path, stems: set[str]) -> dict[str, dict[str, str]]:
    """The rows of a csv file by their `file`."""
    try:
        rows = list(csv.DictReader(read_text(path).splitlines()))
    except csv.Error as error:
        raise ValueError(f"{path}: no CSV text ({error})") from None
    table = {}
    for n, row in enumerate(rows, start=2):
        if not all(row.get(key) for key in ("file", "subject", "action")):
            raise ValueError(f"{path}: line {n} lacks file, subject or action")
        if row["file"] not in stems:
            raise ValueError(f"{path}: line {n} names {row['file']}, but there is no such file")
        if row.get("split") and row["split"] not in SPLITS:
            raise ValueError(f"{path}: line {n} has split {row['split']}, not train or test")
        table[row["file"]] = {k: row[k] for k in ("subject", "action", "split") if row.get(k)}
    return table


def write_cameras(path: Path) -> None:
    cameras = []
    for n, (degrees, distance, height, focal, center, k1) in enumerate(CAMERAS):
        angle = np.radians(degrees)
        place = np.array([distance * np.cos(angle), distance * np.sin(angle), height])
        forward = np.array([0, 0, 900.0]) - place
        forward /= np.linalg.norm(forward)
        right = np.array([-np.sin(angle), np.cos(angle), 0.0])
        camera = {
            "id": n,
            "resolution": [1000, 1000],
            "focal": focal,
            "center": center,
            "radial": [k1, 0.24, -0.002],
            "tangential": [-0.0009, -0.0014],
            "R": np.stack([right, np.cross(forward, right), forward]).round(8).tolist(),
            "t_world_mm": place.round(3).tolist(),
        }
        cameras.append(camera)
    facts = {"unit": "mm", "world": "z up", "model": "x_cam = R (X - t)", "cameras": cameras}
    write_json(path, facts, indent=1)


if __name__ == "__main__":
    main()

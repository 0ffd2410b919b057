"""CPU seconds of reading labels, the least of several passes; the checkout is that of PYTHONPATH.

PYTHONPATH=$PWD python benchmarks/read_labels.py coco17 person_keypoints_train2017.json
PYTHONPATH=$PWD python benchmarks/read_labels.py posetrack15 FOLDER_OF_ANNOTATIONS IMAGES
"""

import os
import sys
from pathlib import Path

from posediff.data.pictures import annotations
from posediff.data.video import footage
from posediff.pose.skeleton import skeleton

PASSES = 5


def read(layout: str, source: Path, images: Path) -> None:
    if source.is_dir():
        footage.read(source, skeleton(layout), images, origin=1)
    else:
        annotations.checked(source, annotations.load(source), skeleton(layout), images, "0.53*w*h")


def main() -> None:
    layout, source, *images = sys.argv[1:]
    seconds = []
    for _ in range(PASSES + 1):  # the first warms up
        before = os.times()
        read(layout, Path(source), Path(*images))
        after = os.times()
        seconds.append(after.user + after.system - before.user - before.system)
    print(f"{min(seconds[1:]):.2f} s")


if __name__ == "__main__":
    main()

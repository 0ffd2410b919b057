"""CPU seconds of reading labels, the least of several passes; the checkout is that of PYTHONPATH.

PYTHONPATH=$PWD python benchmarks/read_labels.py coco17 person_keypoints_train2017.json
PYTHONPATH=$PWD python benchmarks/read_labels.py posetrack15 FOLDER_OF_ANNOTATIONS IMAGES
PYTHONPATH=$PWD python benchmarks/read_labels.py 3dhp17 mpi_inf_3dhp.h5
"""

import sys
import time
from pathlib import Path

from posediff.data.lifting import mpi_inf_3dhp
from posediff.data.pictures import annotations
from posediff.data.video import footage
from posediff.pose.skeleton import skeleton

PASSES = 20


def read(layout: str, source: Path, images: Path) -> None:
    if source.suffix == ".h5":
        people = (*mpi_inf_3dhp.TRAIN, *mpi_inf_3dhp.VALID)
        list(mpi_inf_3dhp.read(source, people, "univ_annot3"))
    elif source.is_dir():
        footage.read(source, skeleton(layout), images, origin=1)
    else:
        annotations.checked(source, annotations.load(source), skeleton(layout), images, "0.53*w*h")


def main() -> None:
    layout, source, *images = sys.argv[1:]
    seconds = []
    for _ in range(PASSES + 1):  # the first warms up
        before = time.process_time()
        read(layout, Path(source), Path(*images))
        seconds.append(time.process_time() - before)
    print(f"{min(seconds[1:]):.3f} s")


if __name__ == "__main__":
    main()

"""A folder of models that take the place of those that ship, and small examples for them."""

import shutil
from pathlib import Path

import cv2
import numpy as np
from helpers.heads import HEADS, case, model

from posediff import checkpoint, config, demo, shipped
from posediff.visual.film import filming


def shelf(folder: Path) -> Path:
    """`folder` with an image2d and a lift3d without training, and with the detector."""
    for name, of in (("image2d", "coarse"), ("lift3d", "posterior")):
        cfg, tree, _ = case(of)
        about = {"task": cfg.task.name, "method": cfg.task.method, "model": tree}
        data = {k: x for k, x in config.plain(cfg.dataset).items() if k in config.DATA_KEYS}
        about |= {"skeleton": cfg.dataset.skeleton, "dataset": data}
        about["overrides"] = [word for word in HEADS[of] if word.startswith(("task", "preset"))]
        checkpoint.save(folder / name, model(of).state_dict(), about)
    for name in ("people", "movenet_thunder"):
        shutil.copytree(shipped.PACKAGED / name, folder / name)
    return folder


def film(path: Path) -> None:
    """A film of three frames of a man in a street."""
    photo = cv2.imread(str(demo.EXAMPLES / "street.jpg"))
    with filming(path, 10) as show:
        for _ in range(3):
            show(np.ascontiguousarray(photo[:400, 250:450]))

"""Arrays of golden files, as tensors."""

import numpy as np
import torch


def arrays(path):
    """The arrays of an npz file as tensors, without those of text."""
    with np.load(path, allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file if file[key].dtype.kind != "U"}

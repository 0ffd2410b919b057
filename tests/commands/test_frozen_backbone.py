"""Training on a frozen backbone, with and without the cache of its maps, of image2d and video2d."""

import json

import pytest
import torch
from helpers.commands import LIMIT, command, error_of
from helpers.image2d import LIGHT
from helpers.video2d import OVERRIDES
from safetensors.torch import load_file, save_file

from posediff import feature_cache
from posediff.nn.small import Small

LIMITS = (
    *LIMIT,
    "trainer=people_minutes",
    "trainer.recipe.batch_size=4",
    "trainer.recipe.epoch_samples=12",
    "dataset.augment=null",
    "device=cpu",
)
PICTURES = (*LIMITS, "dataset=synthetic_pictures", "dataset.pictures=4", "dataset.size=[48,64]")
CLIPS = (*LIMITS, "dataset=synthetic_video", "dataset.clips=2", "dataset.length=4", *OVERRIDES)
DECODER = [
    f"task.head.decoder.{key}={[*x] if key == 'multipliers' else x}" for key, x in LIGHT.items()
]
CASES = {
    "coarse": ("experiment=image2d_coarse", "backbone.features=16", *PICTURES),
    "sgdd": ("task=image2d", "backbone.features=16", *DECODER, *PICTURES),
    "plain": ("experiment=video2d_plain", "backbone.features=16", *CLIPS),
    "full": ("task=video2d", "backbone.features=16", *CLIPS),
}


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    """The folder of all runs, with weights that backbones start from."""
    folder = tmp_path_factory.mktemp("work")
    torch.manual_seed(0)
    save_file(Small(features=16).state_dict(), folder / "small.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("POSEDIFF_RUNS", str(folder / "runs"))
        yield folder


FROZEN = ("backbone.weights=small.safetensors", "backbone.frozen=true")


def losses(folder, name):
    (path,) = folder.glob(f"runs/*/*/{name}/log.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return torch.tensor([line["loss"] for line in lines])


@pytest.mark.parametrize("case", CASES)
def test_losses_with_the_cache_are_those_without_it(inside, case, monkeypatch):
    given = ("train", *CASES[case], *FROZEN)
    command(*given, f"name={case}-images")
    command(*given, "trainer.cache.views=1", f"name={case}-maps")
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "write", None)  # nothing is computed again
        command(*given, "trainer.cache.views=1", f"name={case}-again")
    images, maps = losses(inside, f"{case}-images"), losses(inside, f"{case}-maps")
    assert len(images) == 8
    torch.testing.assert_close(maps, images, rtol=3e-3, atol=0)
    assert torch.equal(losses(inside, f"{case}-again"), maps)


def test_only_the_layers_that_join_the_maps_learn(inside):
    command("train", *CASES["coarse"], *FROZEN, "name=frozen")
    before = load_file(inside / "small.safetensors")
    for kept in ("best", "last"):
        after = load_file(
            inside / f"runs/image2d/synthetic_pictures/frozen/checkpoints/{kept}/model.safetensors"
        )
        for name, x in before.items():
            equal = torch.equal(x, after[f"head.backbone.{name}"])
            assert equal != name.startswith("pyramid."), name


def test_a_resumed_training_reads_the_same_maps(inside, monkeypatch):
    given = ("train", *CASES["coarse"], *FROZEN, "trainer.cache.views=2", "name=resumed")
    command(*given, "trainer.recipe.epochs=1")
    with monkeypatch.context() as patch:
        patch.setattr(feature_cache, "write", None)
        command(*given, "resume=true")
    assert len(losses(inside, "resumed")) == 8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((*CASES["coarse"], "trainer.cache.views=1"), "set backbone.frozen=true"),
        ((*CASES["coarse"], *FROZEN, "trainer.cache.views=0"), "trainer.cache.views must be 1"),
        ((*CASES["coarse"], "backbone.frozen=true"), "set backbone.weights or task.begin"),
        (("experiment=lift3d_encoder", "dataset=synthetic", "backbone.frozen=true"), "no backbone"),
    ],
)
def test_what_cannot_be_frozen_or_kept_is_one_line(inside, capsys, given, message):
    assert message in error_of(capsys, "train", *given, "name=refused")

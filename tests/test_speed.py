"""Settings of a machine change the time of a training, not what it learns."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.commands import command, error_of
from helpers.heads import HEADS, case, model
from helpers.lifters import ENCODER
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from posediff import config, engine, processes, profiling, speed, tree
from posediff import sample as samples
from posediff.data.pictures.picture_memory import PictureMemory

CPU = torch.device("cpu")


def trainer(**changed):
    recipe = SimpleNamespace(workers=5, precision="float32")
    known = {"machine": "as_set", "threads": None, "channels_last": False, "compile": False}
    known |= {"recompute": False, "cache": SimpleNamespace(pictures_mb=0)}
    return SimpleNamespace(recipe=recipe, **{**known, **changed})


def loss(made, name):
    torch.manual_seed(0)
    return made(case(name).sample)


def test_nothing_changes_unless_it_is_asked_for():
    made, threads = model("coarse"), torch.get_num_threads()
    asked = trainer()
    assert speed.use(asked, made, CPU) == ""
    assert (asked.recipe.workers, torch.get_num_threads()) == (5, threads)
    assert all(p.is_contiguous() for p in made.parameters())


def test_auto_says_what_it_picked_and_sets_it(monkeypatch):
    monkeypatch.setattr(speed, "usable_cores", lambda: 1)
    monkeypatch.setattr(speed, "has_bfloat16", lambda device: True)
    made, asked = model("coarse"), trainer(machine="auto")
    line = speed.use(asked, made, CPU)
    assert line == "trainer.machine=auto: 1 threads, 0 workers, bfloat16, channels-last\n"
    assert (asked.recipe.workers, asked.recipe.precision) == (0, "bfloat16")
    assert speed.suited(torch.device("cuda"), made).workers == 0
    lifter = speed.suited(CPU, model("encoder"))
    assert (lifter.precision, lifter.channels_last) == ("bfloat16", False)
    monkeypatch.setattr(speed, "has_bfloat16", lambda device: False)
    assert speed.suited(CPU, made).precision == "float32"


@pytest.mark.parametrize(("processes", "threads", "workers"), [(1, 1, 5), (2, 1, 2), (9, 1, 0)])
def test_processes_of_one_machine_share_its_cores(monkeypatch, processes, threads, workers):
    monkeypatch.setattr(speed.os, "sched_getaffinity", lambda process: range(6), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    picked = speed.suited(torch.device("cuda"), model("encoder"))
    assert (picked.threads, picked.workers) == (threads, workers)


@pytest.mark.parametrize(("native", "told"), [(False, True), (True, False)])
def test_bfloat16_that_the_device_does_not_multiply_is_said_with_the_remedy(
    monkeypatch, native, told
):
    monkeypatch.setattr(speed, "has_bfloat16", lambda device: native)
    asked = trainer()
    asked.recipe.precision = "bfloat16"
    said = speed.use(asked, model("encoder"), CPU)
    assert ("trainer.recipe.precision=float32" in said) == told
    assert asked.recipe.precision == "bfloat16"


def test_a_training_has_the_recipe_that_auto_picked(tmp_path, monkeypatch, capsys):
    def fit(made, data, optimizer, recipe, *rest):
        raise ValueError(f"{recipe.precision} {recipe.workers}")

    monkeypatch.setattr(speed, "suited", lambda *_: speed.Settings(1, 3, "bfloat16", False))
    monkeypatch.setattr(engine, "fit", fit)
    options = (*ENCODER, f"paths.runs={tmp_path}", "trainer.machine=auto")
    assert error_of(capsys, "train", *options) == "error: bfloat16 3"


@pytest.mark.parametrize(("workers", "each"), [(0, 8e6), (1, 8e6), (4, 2e6)])
def test_the_memory_of_decoded_pictures_is_that_of_all_workers(monkeypatch, workers, each):
    monkeypatch.setattr(speed, "MEMORY", PictureMemory())
    asked = trainer(cache=SimpleNamespace(pictures_mb=8))
    asked.recipe.workers = workers
    speed.use(asked, model("encoder"), CPU)
    assert each == speed.MEMORY.limit


def test_channels_last_is_the_same_loss_but_for_rounding():
    made = model("coarse").train()
    plain = loss(made, "coarse").item()
    speed.use(trainer(channels_last=True), made, CPU)
    kernels = [m.weight for m in made.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in kernels)
    assert loss(made, "coarse").item() == pytest.approx(plain, rel=1e-4)


def test_a_compiled_model_has_the_loss_and_the_entries_of_the_plain_one():
    made = model("encoder")
    plain, names = loss(made, "encoder").item(), [*made.state_dict()]
    assert "first steps" in speed.compiled(made, CPU, "eager")
    assert loss(made, "encoder").item() == pytest.approx(plain, rel=1e-5)
    assert [*made.state_dict()] == names


QUICK = ("encoder", "posterior", "coarse")
COLUMNS = ("keypoints", "scores", "hypotheses", "spread")


def off(found, wanted):
    """The largest difference of two answers, as a part of the largest number of one or of 1."""
    pairs = [(getattr(found, name), getattr(wanted, name)) for name in COLUMNS]
    return max(float((a - b).abs().max() / max(1, b.abs().max())) for a, b in pairs)


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=() if x in QUICK else pytest.mark.slow) for x in HEADS]
)
def test_compiled_answers_are_those_of_the_model_for_batches_of_any_size(name):
    torch._dynamo.reset()
    made, whole = model(name), case(name).sample
    batches = [
        samples.take(whole, rows) for rows in (slice(3), slice(1, 3), [2, 0, 1, 1, 0], [1, 0, 2, 2])
    ]
    wanted = [made.predict(batch, seed=3) for batch in batches]
    graphs = CompileCounterWithBackend("eager")
    assert "compiled before the first answer" in speed.compiled_answers([made], graphs)
    before, counts = graphs.frame_count, []  # one has shown that the compiler works
    for batch, answer in zip(batches, wanted, strict=True):
        assert off(made.predict(batch, seed=3), answer) <= 1e-4
        counts.append(graphs.frame_count - before)
    assert counts[0] > 0
    assert counts[1] == counts[0]
    assert counts[3] == counts[2] <= counts[0] + 1  # torch has convolutions for small batches
    alone = samples.take(whole, slice(1))
    assert off(made.predict(alone, seed=3), model(name).predict(alone, seed=3)) <= 1e-4


@pytest.mark.slow
def test_answers_that_inductor_compiled_are_those_of_the_model():
    torch._dynamo.reset()
    made, batch = model("posterior"), case("posterior").sample
    wanted = made.predict(batch, seed=3)
    speed.compiled_answers([made])
    assert off(made.predict(batch, seed=3), wanted) <= 1e-4


def test_a_compiled_flip_test_still_counts_how_often_its_views_disagree():
    made, batch = model("sgdd"), case("sgdd").sample
    made.head = made.head.mirrored()
    speed.compiled_answers([made], "eager")
    made.predict(batch)
    assert made.head.watch.seen > 0


def test_a_fused_optimiser_moves_weights_as_the_plain_one():
    gradients, moved = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)), []
    for fused in ("null", "true"):
        overrides = ["experiment=lift3d_encoder", f"trainer.optimizer.fused={fused}"]
        trainer, weights = config.compose("train", overrides).trainer, nn.Parameter(torch.ones(50))
        optimizer = tree.build(config.plain(trainer.optimizer))([weights])
        for weights.grad in gradients:
            optimizer.step()
        moved.append(weights.detach())
    assert torch.allclose(*moved, rtol=0, atol=1e-6)
    assert (moved[0] - 1).abs().max() > 1e-4


def test_without_a_compiler_a_line_says_so_and_the_model_stays_as_it_is():
    def broken(graph, inputs):
        raise RuntimeError("no C++ compiler\nand more")

    made = model("encoder")
    for line in (speed.compiled(made, CPU, broken), speed.compiled_answers([made], broken)):
        assert "nothing is compiled" in line
        assert "\n" not in line
    assert made._compiled_call_impl is None
    assert "forward" not in vars(made.head)


def test_auto_keeps_the_recipe_of_the_task():
    for task, batch in (("lift3d", 1024), ("image2d", 128), ("video2d", 16)):
        usual = config.compose("train", [f"task={task}"]).trainer
        auto = config.compose("train", [f"task={task}", "trainer=auto"]).trainer
        assert (usual.machine, auto.machine) == ("as_set", "auto")
        assert auto.recipe == usual.recipe
        assert auto.recipe.batch_size == batch
        assert auto.optimizer == usual.optimizer


def test_an_optimiser_of_torch_without_fused_steps_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path))
    command("train", *ENCODER, "name=nadam", "trainer.optimizer._target_=torch.optim.NAdam")
    assert [*tmp_path.rglob("checkpoints/best/model.safetensors")]


def test_a_profile_says_in_ten_lines_where_time_and_memory_go(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POSEDIFF_RUNS", str(tmp_path))
    command("train", *ENCODER, "debug=profile", "trainer.profile=2")
    lines = capsys.readouterr().out.splitlines()[-10:]
    assert lines[0].startswith("step of 32 samples: ")
    assert lines[-1].startswith("most time: ")
    shares = [int(x) for x in re.findall(r"\((\d+) %\)", "\n".join(lines))]
    assert len(shares) == 7
    assert abs(sum(shares) - 100) <= 4  # rounded
    kept = re.search(r"kept for the backward pass: ([\d.]+) MB", "\n".join(lines))
    assert float(kept[1]) > 0
    assert not [*tmp_path.rglob("checkpoints")]


def test_a_profile_is_of_the_step_that_trains(monkeypatch):
    made, sizes = model("posterior"), []
    whole = case("posterior").sample

    class Data:
        def __len__(self):
            return len(whole["id"])

        def __getitems__(self, rows):
            return samples.take(whole, rows)

        def set_epoch(self, epoch):
            pass

    forward = made.forward

    def seen(sample, aligned, noise):
        sizes.append((len(sample["id"]), aligned))
        return forward(sample, aligned, noise)

    monkeypatch.setattr(made, "forward", seen)
    recipe = engine.Recipe(1, 4, micro_batch=2, aligned=lambda done: 0.5 * (done == 1))
    optimizer = torch.optim.AdamW(made.parameters())
    lines = profiling.profile(made, Data(), optimizer, recipe, 1)
    assert sizes == [(2, 0.5)] * 4
    assert lines[0].startswith("step of 4 samples: ")
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(ValueError, match=r"trainer\.profile .* set trainer\.shard=false"):
        profiling.profile(made, Data(), optimizer, replace(recipe, shard=True), 1)

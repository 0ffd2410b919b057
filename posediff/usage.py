"""Texts of --help, for people who have not read the documents yet."""

from collections.abc import Iterable
from typing import NamedTuple


class Option(NamedTuple):
    """A key of the configuration, its default as text, and what it does."""

    key: str
    default: str
    words: str


class Usage(NamedTuple):
    """The help of a command."""

    what: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]
    more: str


DATA = """\
Data sets are read from ./data/<name>, or from the folder that POSEDIFF_DATA names; runs are written
to ./runs, or to POSEDIFF_RUNS. synthetic, synthetic_pictures and synthetic_video are drawn and need
no files. docs/guides/train.md, "Data sets", says how each of the others gets there."""

TASK = Option("task", "required", "lift3d: 2D keypoints to 3D; image2d: photos; video2d: videos")
DATASET = Option("dataset", "of the task", "what to read, such as synthetic, coco, posetrack18")
PRESET = Option("preset", "of the task", "the method, such as paper, posterior, sgdd_light")
CHECKPOINT = Option(
    "checkpoint", "the newest", "model folder, run folder, or the name of a model that ships"
)
SEED = Option("seed", "0", "of all that is drawn; the same seed gives the same numbers")
DEVICE = Option("device", "auto", "cpu, cuda, cuda:1; auto: the GPU if there is one")
STEPS = Option("sampler.steps", "of the preset", "steps of the diffusion: fewer are quicker")
HYPOTHESES = Option("task.hypotheses", "of the preset", "drawn answers for every person")

ALL = """\
Options are written key=value, in any order. `posediff {name} task=lift3d --cfg job` lists every key
with its value; HYDRA_FULL_ERROR=1 shows tracebacks."""

USAGES = {
    "train": Usage(
        "Train a model; the run folder keeps its settings, its log and its best weights.",
        (
            "posediff train task=image2d dataset=synthetic_pictures trainer=people_minutes",
            "posediff train experiment=lift3d_encoder dataset=synthetic trainer=demo",
            "posediff train task=lift3d dataset=synthetic trainer=demo   # after the line above",
            "posediff train task=lift3d dataset=mocap preset=posterior trainer.recipe.epochs=10",
            "posediff train task=video2d dataset=posetrack18 name=mine resume=true",
        ),
        (
            TASK,
            Option("experiment", "null", "a recipe with its task, such as image2d_coarse"),
            DATASET,
            PRESET,
            Option("trainer", "of the task", "how long and how: demo and minutes are short"),
            Option("trainer.recipe.epochs", "of the trainer", "passes over the training data"),
            Option("backbone", "of the task", "the network that reads pictures (2D)"),
            Option("task.begin", "null", "a model folder whose weights training starts from"),
            Option("name", "the time", "of the run folder"),
            Option("resume", "false", "true continues the run of that name, or begins it"),
            Option("trainer.save_every.minutes", "10", "between states to continue from"),
            Option("debug", "null", "limit: a few steps, to see whether it runs"),
            SEED,
            DEVICE,
        ),
        "Without trainer= the full training runs, which takes hours or days; demo takes minutes.",
    ),
    "eval": Usage(
        "Score a trained model on labelled data: figures on the screen and in metrics.json.",
        (
            "posediff eval task=lift3d dataset=synthetic",
            "posediff eval task=image2d dataset=coco checkpoint=runs/image2d/coco/mine",
            "posediff eval task=lift3d dataset=h36m checkpoint=models/official",
            "posediff eval task=lift3d dataset=mocap preset=posterior task.hypotheses=50 "
            "eval.recalibrate=512",
            "posediff eval task=video2d dataset=jhmdb_video sampler.steps=2 device=cpu",
        ),
        (
            TASK,
            DATASET,
            CHECKPOINT,
            Option("eval", "of the task", "the benchmark's metric: mpjpe, coco, pck, poseval ..."),
            Option("eval.split", "test", "the part of the data: test, validation or train"),
            Option(
                "eval.recalibrate", "null", "validation people on which the spread is corrected"
            ),
            STEPS,
            HYPOTHESES,
            Option("task.flip", "of the preset", "average over the picture and its mirror image"),
            SEED,
            DEVICE,
        ),
        "`posediff report RUN...` puts several evaluations side by side.",
    ),
    "predict": Usage(
        "Use a model of your choice on your own photos, videos or 2D keypoints.",
        (
            "posediff predict task=lift3d input=keypoints.json layout=coco17 checkpoint=lift3d",
            "posediff predict task=lift3d input=poses.npz checkpoint=runs/lift3d/mocap/mine",
            "posediff predict task=image2d input=photo.jpg boxes=[40,25,180,400] heatmaps=true",
            "posediff predict task=image2d input=photos boxes=boxes.json output=found",
            "posediff predict task=video2d dataset=jhmdb_video input=clip.mp4 boxes=boxes.json",
        ),
        (
            Option("input", "required", "a file, or a folder of photos or frames"),
            TASK,
            CHECKPOINT,
            Option("dataset", "of the task", "what the newest model was trained on"),
            Option("boxes", "null", "of people: a json file or [x,y,w,h]; null: the whole picture"),
            Option("layout", "coco17", "order of the joints of your keypoints, such as halpe26"),
            Option("image_size", "null", "[width,height] of the picture of your keypoints"),
            Option(
                "units", "null", "of keypoints: fraction, centred, screen, metres; null: pixels"
            ),
            Option("heatmaps", "false", "also draw every step of the diffusion (image2d)"),
            Option("output", "predictions", "the folder of the results"),
            STEPS,
            HYPOTHESES,
            SEED,
            DEVICE,
        ),
        "Paths are taken as they are, whatever letters they have.",
    ),
    "export": Usage(
        "Write a model as ONNX and torch.export graphs that need no posediff to run.",
        (
            "posediff export task=image2d experiment=image2d_coarse checkpoint=image2d",
            "posediff export task=lift3d checkpoint=runs/lift3d/mocap/mine output=lifter",
            "posediff export task=lift3d sampler.steps=2 task.hypotheses=5 formats=[onnx]",
            "posediff export task=lift3d preset=posterior checkpoint=lift3d output=posterior",
            "posediff export task=video2d checkpoint=runs/video2d/posetrack18/mine rows=2",
        ),
        (
            TASK,
            CHECKPOINT,
            Option("dataset", "of the task", "what the newest model was trained on"),
            STEPS,
            HYPOTHESES,
            Option("task.flip", "of the preset", "average over the picture and its mirror image"),
            Option("formats", "['onnx', 'torch']", "[onnx]: ONNX Runtime; [torch]: torch.export"),
            Option("tolerance", "0.0001", "largest difference to the model that is accepted"),
            Option("output", "exported", "the folder of the graphs and of export.json"),
        ),
        "Noise is an input of the graphs. scripts/run_exported.py runs them with NumPy alone.",
    ),
}

GENERAL = f"""\
posediff: human pose in 2D and 3D with its uncertainty, by diffusion models

  posediff FILE...          poses of your own files
  posediff train ...        train a model
  posediff eval ...         score a model on labelled data
  posediff predict ...      use a model of your choice, with all its options
  posediff report RUN...    runs side by side: figures, settings, learning curves
  posediff check PATH...    what is there, and what is wrong, before a long run
  posediff export ...       write a model as graphs that run without posediff
  posediff demo             three photos and a video that ship, through the models that ship

`posediff COMMAND --help` says more of each; `python -m posediff` is the same as `posediff`, and
`python -m posediff.train` the same as `posediff train`.

Examples
  posediff photo.jpg clip.mp4 --to out
  posediff keypoints.json --layout coco17 --to out
  posediff train experiment=lift3d_encoder dataset=synthetic trainer=demo
  posediff train task=lift3d dataset=synthetic trainer=demo
  posediff report runs/lift3d/synthetic/*

Options of FILE...
  --to FOLDER         of the results (default: predictions)
  --model MODEL       a name that ships, a model folder or a run folder; given once for
                      2D and once for 3D for photos and videos (default: those that ship; for
                      keypoints else the newest that you trained)
  --boxes FILE        of the people in photos and videos (default: the detector finds them)
  --2d                leave out the 3D
  --formats NAMES     of the files beside frames.json, separated by commas: coco, csv, npz, angles,
                      curves, pictures, video, gif, bvh, trc (default: csv, npz, pictures or video,
                      and angles of people in 3D)
  --layout NAME       order of the joints in files of keypoints (default: coco17)
  --units NAME        of these keypoints, if they are no pixels: fraction (0..1), centred or screen
                      (-1..1), metres
  --image-size W,H    of their picture, in pixels: fraction, centred and screen need it
  --hypotheses K      drawn answers for every person (default: of the model)
  --steps N           steps of the diffusion: fewer are quicker (default: of the model)
  --budget-ms MS      as many hypotheses and steps as this machine computes in that time for a
                      person, besides the detector (default: as many as the model has)
  --carry WHAT        posterior: the uncertainty of the 2D goes into the 3D; point: the 2D pose
                      alone (default: posterior)
  --compile           compile the models first, which takes a minute or more: for long videos and
                      folders of many photos
  --gif               also write a video's poses as poses.gif
  --denoising         also write denoising.gif: a person in 3D, step by step
  --seed N            of all that is drawn (default: 0)
  --device NAME       cpu, cuda or auto: the GPU if there is one (default: auto)

Data
{DATA}
"""


REPORT = """\
posediff report RUN... [--columns NAMES] [--to FILE]

Put trainings and evaluations side by side: their figures, and the settings in which they differ.
Figures of a training are those of its best epoch. Runs that cannot be read are named and left out.

Examples
  posediff report runs/lift3d/synthetic
  posediff report runs/lift3d/mocap/a runs/lift3d/mocap/b --to report.html
  posediff report runs/image2d/coco/* --columns method,AP/mean,seconds
  posediff report runs/lift3d/mocap --columns 'mpjpe,coverage@*' --to figures.csv
  posediff report runs --to report.md

Options
  RUN              run folders, or folders that contain some
  --columns NAMES  figures and settings, separated by commas: mpjpe/mean, mpjpe (by every rule),
                   'pck*', seed (default: the settings that differ, and the figures that select)
  --to FILE        .md, .csv or .html, with the learning curves as FILE_curves.png beside it
                   (default: a Markdown table on the screen)
"""


CHECK = """\
posediff check PATH... [key=value ...]

Look at files, folders and data sets before a long run: what is there, and what is wrong, one line
each. The exit code is 1 if anything is wrong.

  PATH             a model or run folder, or the name of a model that ships; photos, a video, a file
                   of keypoints or of boxes, or a folder of these
  key=value        a data set as in training: dataset=coco, dataset.root=FOLDER, task=image2d ...
                   every part of it is built, and its first and last samples are read

Examples
  posediff check runs/lift3d/mocap/mine
  posediff check lift3d image2d
  posediff check keypoints.json photos clip.mp4 --layout halpe26
  posediff check task=image2d dataset=coco
  posediff check task=image2d dataset=custom dataset.root=mine dataset.skeleton=coco17

Options
  --layout NAME    order of the joints in files of keypoints (default: coco17)
"""


DEMO = """\
posediff demo [--to FOLDER] [--model MODEL]

Three photos and a short video, which ship with posediff, through the models that ship: pictures,
tables, joint angles, a film, and a page to look at in a browser. It takes less than a minute on one
core, and needs no network. The commands that do it are shown; try them on files of your own.

Examples
  posediff demo
  posediff demo --to out
  posediff demo --model runs/lift3d/mocap/mine
  posediff demo/street.jpg --to mine        # behind the first line
  posediff demo/golf.mp4 --formats bvh,trc,curves --to mine

Options
  --to FOLDER      of the results, and of copies of the photos and the video (default: demo)
  --model MODEL    as for files of your own
"""


def help_of(name: str) -> str:
    """The text of `posediff <name> --help`."""
    usage = USAGES[name]
    examples = "\n".join(f"  {line}" for line in usage.examples)
    return (
        f"posediff {name} key=value ...\n\n{usage.what}\n{usage.more}\n\nExamples\n{examples}\n\n"
        f"Options\n{table(usage.options)}\n\n{ALL.format(name=name)}\n\nData\n{DATA}\n"
    )


def table(options: Iterable[Option]) -> str:
    """The options with their defaults, one a line."""
    lines = [(x.key, f"({x.default})", x.words) for x in options]
    wide = [max(len(line[column]) for line in lines) for column in range(2)]
    return "\n".join(f"  {key:{wide[0]}}  {default:{wide[1]}}  {w}" for key, default, w in lines)

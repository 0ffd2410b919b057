#!/bin/sh
# Trains all models that ship again, from nothing but the data, and writes them to posediff/weights.
#
#     scripts/train_weights.sh [overrides of every training]
#
# PY: the Python to use; WEIGHTS: the folder to write to, in place of posediff/weights. A training
# that was stopped goes on, one that is complete is not repeated, and the first error ends it all.
set -eu
PY=${PY:-python}
RUNS=${POSEDIFF_RUNS:-runs}
WEIGHTS=${WEIGHTS:-posediff/weights}
HERE=$(dirname "$0")
MORE="$*"

# train TASK/DATASET/NAME OVERRIDES: a run, in that folder of the runs
train() {
    run=$1
    shift
    if [ -d "$RUNS/$run/checkpoints/last" ]; then set -- "$@" resume=true; fi
    # shellcheck disable=SC2086
    show "$PY" -m posediff.train "$@" name="$(basename "$run")" $MORE
}

# publish TASK/DATASET/NAME MODEL [--share ...]: its best weights, as the model of that name
publish() {
    run=$1
    shift
    show "$PY" "$HERE/publish.py" "$RUNS/$run/checkpoints/best" "$@" --out "$WEIGHTS"
}

show() {
    echo "\$ $*"
    "$@"
}

# --- the list

train lift3d/mocap/ships_encoder experiment=lift3d_encoder dataset=mocap dataset.keypoints=noisy
train lift3d/mocap/ships_lift3d task=lift3d dataset=mocap dataset.keypoints=noisy \
    task.head.encoder="$RUNS/lift3d/mocap/ships_encoder/checkpoints/best"
publish lift3d/mocap/ships_lift3d lift3d

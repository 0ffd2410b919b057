#!/bin/sh
# Trains all models that ship again, from nothing but the data, and writes them to posediff/weights.
#
#     scripts/train_weights.sh [overrides of every training]
#
# PY: the Python to use; WEIGHTS: the folder to write to, in place of posediff/weights. A training
# that was stopped goes on, one that is complete is not repeated, and the first error ends it all.
# On a CPU that does not multiply bfloat16 give trainer.recipe.precision=float32.
set -eu
PY=${PY:-python}
RUNS=${POSEDIFF_RUNS:-runs}
WEIGHTS=${WEIGHTS:-posediff/weights}
HERE=$(dirname "$0")
MORE="$*"

# train TASK/DATASET/NAME OVERRIDES: a run, in that folder of the runs; resume=true begins one, too
train() {
    run=$1
    shift
    # shellcheck disable=SC2086
    show "$PY" -m posediff.train "$@" name="$(basename "$run")" resume=true $MORE
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

# MoveNet's weights are a beginning, and no training of ours: they are taken as they are
THUNDER=$HERE/../posediff/weights/movenet_thunder
FROZEN="backbone=movenet_thunder backbone.weights=$THUNDER/model.safetensors backbone.frozen=true"
PEOPLE="dataset.size=[192,256] dataset.codec=udp trainer=people_minutes $FROZEN"
MOCAP="dataset=mocap dataset.views=free dataset.keypoints=noisy dataset/noise=image2d \
    dataset.exact=0.3 dataset.balance={hdm05_11:0.4,cmu_subset:0.6} task.hypotheses=10 trainer=minutes \
    trainer.recipe.precision=bfloat16"
# errors of a film last: as long as those of video2d, conf/dataset/noise/video2d.yaml
LASTING="+dataset.noise.lasting=[[4,0.3807],[32,0.5374]]"

# lifter NAME EPOCHS OVERRIDES: of single frames, on all actors but the one of dataset.validation
lifter() {
    name=$1
    epochs=$2
    shift 2
    # shellcheck disable=SC2086
    train "lift3d/mocap/$name" task=lift3d preset=posterior $MOCAP trainer.recipe.batch_size=256 \
        trainer.recipe.epochs="$epochs" trainer.recipe.epoch_samples=102400 \
        trainer.validation_samples=512 "$@"
}

# refined NAME LIFTER OVERRIDES: the same across the frames of a window, upon a lifter
refined() {
    name=$1
    lifter=$2
    shift 2
    # shellcheck disable=SC2086
    train "lift3d/mocap/$name" task=lift3d preset=posterior_refined $MOCAP \
        task.head.trunk.encoder="$lifter" trainer.recipe.batch_size=16 trainer.recipe.epochs=5 \
        trainer.recipe.epoch_samples=8192 trainer.validation_samples=64 "$@"
}

# best NAME: the best model of a run of those
best() {
    echo "$RUNS/lift3d/mocap/$1/checkpoints/best"
}

# shellcheck disable=SC2086
train image2d/lspet_crops/coarse experiment=image2d_coarse dataset=lspet_crops $PEOPLE \
    backbone.network.learned=7 trainer.optimizer.lr=5e-4 trainer.layer_decay=0.75 \
    trainer.recipe.epochs=12 trainer.cache.views=4
[ -d "$WEIGHTS/movenet_thunder" ] || { mkdir -p "$WEIGHTS" && cp -r "$THUNDER" "$WEIGHTS"; }
publish image2d/lspet_crops/coarse image2d --share head.backbone=movenet_thunder
# from here on the names of models are those of this list
export POSEDIFF_WEIGHTS="$WEIGHTS"

# Deviations must be scaled on an actor that was not trained on. What ships has learnt from all of them
# but mm, so that its factors are those of the same training without dg.
lifter lift3d_held_out 20 dataset.validation=dg
lifter lift3d 24 dataset.validation=cmu16
publish lift3d/mocap/lift3d lift3d --take head.factors="$(best lift3d_held_out)"

refined lift3d_video_held_out "$(best lift3d_held_out)" dataset.validation=dg \
    trainer.recipe.precision=float32
refined lift3d_video lift3d dataset.validation=cmu16 "$LASTING"
publish lift3d/mocap/lift3d_video lift3d_video --take head.factors="$(best lift3d_video_held_out)" \
    --share head.trunk.encoder=lift3d:head

# shellcheck disable=SC2086
train video2d/jhmdb_video/plain experiment=video2d_plain dataset=jhmdb_video $PEOPLE \
    dataset.offsets=[-2,0,2] task.begin=image2d \
    task.begin_parts=[[head.backbone,head.clip.backbone]] task.clip_features.channels=128 \
    task.clip_features.depth=2 trainer.train_samples=1200 trainer.cache.views=2 \
    trainer.recipe.batch_size=16 trainer.recipe.epochs=5
publish video2d/jhmdb_video/plain video2d --share head.clip.backbone.blocks=movenet_thunder:blocks \
    --share head.clip.backbone=image2d:head.backbone

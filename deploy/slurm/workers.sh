#!/usr/bin/env bash
# Workers as a job array: each uses one GPU and trains what the coordinator assigns until its time limit. Five minutes before
# the limit, Slurm sends SIGTERM: trainers write checkpoints, their trials return to the queue, and the worker leaves. If
# SWEEP_WORKER_CHECKPOINT_STORE is a shared folder or bucket, the next worker continues from the checkpoint.
#
#   export SWEEP_WORKER_COORDINATOR=https://coordinator.example.com:7733
#   export SWEEP_WORKER_TOKEN_FILE=$HOME/.config/sweep/worker-token
#   export SWEEP_WORKER_DATA_ROOT=/shared/data SWEEP_WORKER_CHECKPOINT_STORE=/shared/sweep/checkpoints
#   sbatch --array=0-15 deploy/slurm/workers.sh
#
# An idle worker stays until its time limit. `scancel --signal=USR1 --batch JOB` lets running trials end first; `scancel JOB`
# ends it with checkpoints if Slurm's KillWait allows enough time.
#SBATCH --job-name=sweep-worker
#SBATCH --array=0-3
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=24G
#SBATCH --gres=gpu:1
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=sweep-worker-%A_%a.log
set -euo pipefail

: "${SWEEP_WORKER_COORDINATOR:?name the coordinator, as in https://coordinator.example.com:7733}"
: "${SWEEP_WORKER_DATA_ROOT:?name the folder with data sets}"
program=${SWEEP_WORKER_PROGRAM:-sweep-worker}

# Unique in the fleet. A requeued job keeps its number, so its worker finds the state of the one before.
export SWEEP_WORKER_NAME="slurm-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}-${SLURM_ARRAY_TASK_ID:-0}"
export SWEEP_WORKER_LABELS="node=$(hostname -s),partition=${SLURM_JOB_PARTITION:-none}"
export SWEEP_WORKER_STATE_DIR="${SWEEP_WORKER_STATE_ROOT:-$HOME/.local/state/sweep}/$SWEEP_WORKER_NAME"
# Several workers may run on one node.
export SWEEP_WORKER_LISTEN_HTTP=127.0.0.1:0
# Less than the 300 seconds of notice.
export SWEEP_WORKER_TRAINER_GRACE_SECONDS=120 SWEEP_WORKER_SHUTDOWN_SECONDS=240

# Signals go to this shell (B:), which forwards them and waits again, because a signal interrupts the first `wait`.
"$program" &
worker=$!
left=
trap 'left=yes; kill -TERM "$worker" 2> /dev/null || true' TERM INT
trap 'kill -USR1 "$worker" 2> /dev/null || true' USR1
code=0
while kill -0 "$worker" 2> /dev/null; do
    code=0
    wait "$worker" || code=$?
done
echo "the worker ended with $code"

# The time limit ended the worker and more trials may wait: requeue the job. A drained worker is not requeued, and a cancelled
# job is not in the state RUNNING.
if [[ $left && $code == 0 && $(squeue --noheader --jobs "${SLURM_JOB_ID:-}" --format %T 2> /dev/null) == RUNNING ]]; then
    scontrol requeue "$SLURM_JOB_ID" || true
fi
exit "$code"

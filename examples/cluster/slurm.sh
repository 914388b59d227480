#!/bin/bash
# compare on several hosts with Slurm: sbatch examples/cluster/slurm.sh
#
# Slurm starts a process for each GPU; JAX reads from Slurm's variables who they are and
# gives each the GPU of its number. Requeued, or submitted again with the same RUN, the
# job goes on from the run's last checkpoint. RUN must be on a disk that all hosts share.
#SBATCH --job-name=jaxnets
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
#SBATCH --signal=TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

RUN="${RUN:-$PWD/runs/slurm-${SLURM_JOB_ID:?this is a script for sbatch}}"

if [[ -e "$RUN/config.json" ]]; then
    options=(--resume "$RUN")
else
    options=(--models relu_softmax --output "$RUN")
fi

# One task that ends before its time ends the others.
srun --kill-on-bad-exit=1 python -m experiments.compare --distributed "${options[@]}"

#!/usr/bin/env bash
# VideoMind's planner on Qwen2-VL-7B; global batch 32 whatever the number of devices.
# Options are passed on, later ones win: bash scripts/pretrain/pretrain_planner_7b.sh --model.finetune.per_device_batch_size 2
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
exec torchrun --standalone --nproc-per-node "${NPROC_PER_NODE:-8}" "$root/scripts/pretrain_video.py" \
  --model.type videomind-planner-7b --dataset.type videomind-planner "$@"

#!/usr/bin/env bash
# VideoMind's grounder on Qwen2-VL-2B; global batch 32 whatever the number of devices.
# Options are passed on, later ones win: bash scripts/pretrain/pretrain_grounder_2b.sh --model.finetune.per_device_batch_size 2
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
exec torchrun --standalone --nproc-per-node "${NPROC_PER_NODE:-8}" "$root/scripts/pretrain_video.py" \
  --model.type videomind-grounder-2b --dataset.type videomind-grounder "$@"

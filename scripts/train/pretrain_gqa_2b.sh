#!/usr/bin/env bash
# MUPA's joint role, moment and choice in one reply, on Qwen2-VL-2B.
# Options are passed on, later ones win: bash scripts/train/pretrain_gqa_2b.sh --model.finetune.per_device_batch_size 2
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
exec torchrun --standalone --nproc-per-node "${NPROC_PER_NODE:-8}" "$root/scripts/pretrain_video.py" \
  --model.type mupa-gqa-2b --dataset.type mupa-gqa "$@"

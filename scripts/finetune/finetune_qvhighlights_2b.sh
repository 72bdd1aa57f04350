#!/usr/bin/env bash
# VideoMind's published grounder on Qwen2-VL-2B, tuned on QVHighlights for 5 epochs; to go on from a run or a folder of
# roles instead, name it: --pretrained_checkpoint runs/my-grounder.
# Options are passed on, later ones win: bash scripts/finetune/finetune_qvhighlights_2b.sh --model.finetune.per_device_batch_size 2
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
exec torchrun --standalone --nproc-per-node "${NPROC_PER_NODE:-8}" "$root/scripts/pretrain_video.py" \
  --model.type videomind-grounder-2b --dataset.type qvhighlights --run_id finetune-grounder-qvhighlights-2b \
  --pretrained_checkpoint yeliudev/VideoMind-2B --model.finetune.epochs 5 "$@"

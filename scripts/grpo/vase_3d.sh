#!/usr/bin/env bash
# VaseVQA-3D's second stage with its published values (https://github.com/AIGeeksGroup/VaseVQA-3D, Train/model/grpo.sh).
# Rewards, data and where to start are passed on; a step has 4 prompts with 4 answers each:
# bash scripts/grpo/vase_3d.sh --reward my_plugin.py:vase_acc --dataset.annotations vases.json --system prompt.txt
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
exec torchrun --standalone --nproc-per-node "${NPROC_PER_NODE:-4}" "$root/scripts/train_grpo.py" \
  --model.type vase-qwen2.5-vl-7b-full --dataset.type captioned-images \
  --num_generations 4 --beta 0.001 --temperature 1.0 --max_completion_length 256 --save_checkpoint_after 300 "$@"

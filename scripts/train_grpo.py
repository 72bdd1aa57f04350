r"""Train a model from rewards.

torchrun --standalone --nproc-per-node 2 scripts/train_grpo.py --model.type merv-tiny --dataset.type synthetic \
    --reward accuracy --num_generations 4 --model.finetune.train_strategy ddp
"""

import sys

from merv.runs.cli import main

if __name__ == "__main__":
    sys.exit(main(["train-grpo", *sys.argv[1:]]))

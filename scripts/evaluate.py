"""Score a run on a task.

torchrun --standalone --nproc-per-node 2 scripts/evaluate.py --model runs/demo-full-finetune --task.type synthetic-mcq
"""

import sys

from merv.runs.cli import main

if __name__ == "__main__":
    sys.exit(main(["eval", *sys.argv[1:]]))

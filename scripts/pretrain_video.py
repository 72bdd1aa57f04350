"""Train one stage of a model.

torchrun --standalone --nproc-per-node 2 scripts/pretrain_video.py --model.type merv-tiny --dataset.type synthetic
"""

import sys

from merv.runs.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

"""Train one stage of a model.

torchrun --standalone --nproc-per-node 2 scripts/pretrain_video.py --model.type merv-tiny --dataset.type synthetic
"""

import sys

from merv.conf.parse import run_main
from merv.runs.pretrain import pretrain
from merv.runs.pretrain_config import PretrainConfig

if __name__ == "__main__":
    sys.exit(run_main(pretrain, PretrainConfig))

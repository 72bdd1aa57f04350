"""What one process does for all, such as fetching weights: where it fails, one line says why and all end."""

import pytest
from helpers import run_distributed, run_words

from merv.conf.parse import parse
from merv.errors import ConfigError
from merv.runs.pretrain import pretrain
from merv.runs.pretrain_config import PretrainConfig


def how_it_ends(words):
    try:
        return pretrain(parse(PretrainConfig, words))
    except ConfigError as error:
        return str(error)
    except SystemExit as end:
        return end.code


@pytest.mark.dist
def test_missing_weights_are_told_by_one_process_and_end_all(synthetic_data, tmp_path):
    unknown = ("--model.llm_backbone_id", "llama2-7b-pure", "--model.llm_path", str(tmp_path / "no"))

    told, silent = run_distributed(
        how_it_ends, run_words(synthetic_data, tmp_path, "a", *unknown, strategy="ddp", global_batch_size=8)
    )

    assert "LLM backbone `llama2-7b-pure`" in told
    assert "does not exist" in told
    assert silent == 2
    assert not (tmp_path / "a").exists()

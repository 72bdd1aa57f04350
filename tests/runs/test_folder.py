import shutil

import pytest
from backbones.llm_folder import save_llm
from helpers import course, run_words, train

from merv.conf.parse import parse
from merv.errors import CheckpointError
from merv.runs.folder import check_identity, identity
from merv.runs.pretrain_config import PretrainConfig


def test_a_run_goes_on_when_its_published_weights_lie_elsewhere(synthetic_data, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    save_llm(here, max_position_embeddings=512)

    def words(folder, steps):
        named = ("--model.llm_backbone_id", "llama2-7b-pure", "--model.llm_path", str(folder))
        return run_words(synthetic_data, tmp_path, "run", *named, max_steps=steps)

    train(words(here, 1))
    shutil.move(here, there)
    train(words(there, 2))

    assert [step for step, *_ in course(tmp_path / "run")] == [1, 2]


@pytest.mark.parametrize(("option", "value"), [("compile_blocks", "true"), ("enable_gradient_checkpointing", "true")])
def test_how_a_model_is_computed_is_no_part_of_what_it_is(tmp_path, option, value):
    plain = parse(PretrainConfig, ["--model.type", "merv-tiny"])
    changed = parse(PretrainConfig, ["--model.type", "merv-tiny", f"--model.{option}", value])

    assert identity(changed) == identity(plain)


def test_another_protocol_is_another_model(tmp_path):
    plain = parse(PretrainConfig, ["--model.type", "merv-tiny"])
    other = parse(PretrainConfig, ["--model.type", "merv-tiny", "--model.protocol", "reference"])

    with pytest.raises(CheckpointError, match=r"model\.protocol is merv there, reference here"):
        check_identity(other, {"identity": identity(plain)}, tmp_path)

import pytest
from conf_shapes import Run, Stage

from merv.conf.aliases import STAGES, spell_out
from merv.conf.parse import parse

FIELDS = {"finetune": Stage, "full_finetune": Stage, "finetune_scheduler": str, "num_frames": int}


def spelled(*path):
    return spell_out(path, FIELDS, lambda stage: ["epochs", "scheduler", "lora"])


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (["finetune_epochs"], ["finetune", "epochs"]),
        (["full_finetune_epochs"], ["full_finetune", "epochs"]),
        (["full-finetune-epochs"], ["full_finetune", "epochs"]),
        (["finetune_lora", "rank"], ["finetune", "lora", "rank"]),
        (["finetune", "epochs"], ["finetune", "epochs"]),
        (["finetune_scheduler"], ["finetune_scheduler"]),
        (["num-frames"], ["num_frames"]),
        (["align_epochs"], None),
        (["finetune_epoch"], None),
        (["finetune_"], None),
    ],
)
def test_flat_names_mean_the_field_of_their_stage(path, meant):
    assert spelled(*path) == meant


@pytest.mark.parametrize("stage", STAGES)
def test_flat_and_nested_spelling_give_the_same_config(stage):
    flat = parse(Run, [f"--model.{stage}_per_device_batch_size", "2"])
    nested = parse(Run, [f"--model.{stage}.per_device_batch_size", "2"])

    assert flat == nested != Run()


def test_a_field_that_only_begins_like_a_stage_stays_itself():
    config = parse(Run, ["--dataset.type", "videollava", "--dataset.finetune_stage_components", "[a.json,b]"])

    assert config.dataset.finetune_stage_components == ("a.json", "b")

import dataclasses

import pytest
from conf_shapes import Dataset, Run, Synthetic

from merv.conf.parse import parse
from merv.errors import ConfigError


def refused(*args: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Run, args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--seed", "abc"], "`seed` is `abc`; expected int"),
        (["--seed", "3.5"], "`seed` is `3.5`; expected int"),
        (["--plan", "maybe"], "`plan` is `maybe`; expected true | false"),
        (["--stage", "finetun"], "`stage` is `finetun`; did you mean `finetune`? expected align | full-align"),
        (
            ["--model.type", "merv-bse"],
            "`model.type` is `merv-bse`; did you mean `merv-base`? registered: hf-vlm, merv",
        ),
        (["--dataset.type", "zzz"], "`dataset.type` is `zzz`; registered: synthetic, videollava"),
        (["--model.nmu_frames", "3"], "there is no option `--model.nmu_frames`; did you mean `--model.num_frames`?"),
        (["--num_frames", "3"], "there is no option `--num_frames`; did you mean `--model.num_frames` or"),
        (
            ["--model.finetune_epoch", "3"],
            "there is no option `--model.finetune_epoch`; did you mean `--model.finetune",
        ),
        (
            ["--model.size_px", "3"],
            "there is no option `--model.size_px`; set `--model.type` to one that has it: hf-vlm",
        ),
        (["--model.seed", "3"], "there is no option `--model.seed`; did you mean `--seed`"),
        (["--model.qqqq", "3"], "there is no option `--model.qqqq`; `model` has: model_id, align, full_align"),
        (["--seed.low", "3"], "there is no option `--seed.low`; `seed` is a single value"),
        (["--qqqq", "3"], "there is no option `--qqqq`; there are: run_id, model, dataset"),
        (["--model", "merv-bse"], "`model` is `merv-bse`; did you mean `merv-base`? registered: hf-vlm"),
        (["--model.finetune", "3"], "`model.finetune` is `3`, but it is a group; its options are --model.finetune.ep"),
        (["--model.finetune.epochs", "0"], "`model.finetune`: epochs is 0; it must be at least 1"),
        (["--model.num_frames", "[16,x]"], "`model.num_frames.1` is `x`; expected int"),
        (
            ["--model.num_frames", "[16,16"],
            "`model.num_frames` is `[16,16`; expected list[int] (brackets do not match",
        ),
        (["--frames", "[a]"], "`frames` is `[a]`; expected int | list[int]"),
        (["--precision", "fp16"], "`precision` is `fp16`; expected HALF | FULL"),
        (["--dataset.type", "videollava", "--dataset.finetune_stage_components", "a"], "1 values instead of 2"),
        (["--run_root_dir", ""], "`run_root_dir` is empty; expected path"),
        (["seven"], "`seven` is not an option; options look like --seed 7"),
        (["--trackers", "a", "b"], "`b` after `--trackers a` belongs to no option; several values are one word"),
        (["--config_path"], "`--config_path` needs a value: a file"),
        (["--config_path", "no.yaml"], "config file `no.yaml` cannot be read: No such file or directory"),
        (["--plugins", "no_such_package"], "plugin `no_such_package` cannot be imported"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(args, line):
    assert line in refused(*args)


def test_a_field_without_default_is_asked_for():
    config_class = dataclasses.make_dataclass("Config", [("run_id", str), ("seed", int), ("dataset", Dataset)])

    with pytest.raises(ConfigError, match="values are missing: give --seed <int>, --dataset <Dataset>"):
        parse(config_class, ["--run_id", "x"])
    with pytest.raises(ConfigError, match=r"`dataset\.type` is not chosen; registered: synthetic, videollava"):
        parse(config_class, ["--dataset.weight", "2"])
    assert parse(config_class, ["--run_id=x", "--seed=1", "--dataset.type=synthetic"]).dataset == Synthetic()

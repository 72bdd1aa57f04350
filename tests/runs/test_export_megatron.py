import logging
import shutil
import sys

import pytest
import torch
from export.tiny import save_tiny
from safetensors.torch import load_file

from merv.conf.parse import run_main
from merv.export.precision import Precision
from merv.runs import export_megatron as run
from merv.runs.export_megatron import ExportMegatronConfig, export_megatron, named


def export(*words):
    def options():
        return named(["megatron", *map(str, words)])

    return run_main(export_megatron, ExportMegatronConfig, options(), prog="merv export megatron")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny("qwen2_vl", tmp_path_factory.mktemp("vl") / "hf")


@pytest.fixture(autouse=True)
def _logs(caplog):
    caplog.set_level(logging.INFO)


def test_a_model_goes_to_megatron_and_comes_back(folder, tmp_path, caplog):
    pytest.importorskip("megatron.core", reason="megatron-core is not installed (extra `megatron`)")
    out, back = tmp_path / "megatron", tmp_path / "back"

    assert export("--model", folder, "--tp", 2, "--pp", 2, "--test-precision", "--out", out) == 0
    assert export("--from-megatron", out, "--out", back) == 0

    assert "precision test passed: largest logit difference" in caplog.text
    one, other = (load_file(at / "model.safetensors") for at in (folder, back))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_is_laid_out_anew(folder, tmp_path):
    export("--model", folder, "--dtype", "bfloat16", "--tp", 2, "--out", tmp_path / "two")

    assert export("--from-megatron", tmp_path / "two", "--reshard", "--pp", 2, "--out", tmp_path / "stages") == 0

    ranks = sorted(path.name for path in (tmp_path / "stages" / "iter_0000001").iterdir())
    assert ranks == ["mp_rank_00_000", "mp_rank_00_001"]


def test_a_failed_precision_test_gives_1_and_tells_each_layer(folder, tmp_path, monkeypatch, caplog):
    found = Precision(0.5, 1e-4, 0.0, [("embeddings", 0.0), ("layer 0", 0.25)])
    monkeypatch.setattr(run, "check_precision", lambda weights, hf: found)
    monkeypatch.setattr(run, "check_installed", lambda option: None)

    assert export("--model", folder, "--test-precision", "--out", tmp_path / "out") == 1

    assert [record.levelname for record in caplog.records][-3:] == ["ERROR"] * 3
    assert caplog.messages[-1] == "  layer 0: 2.50e-01"


def test_without_megatron_core_only_the_test_is_refused_and_nothing_is_written(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "megatron.core", None)

    assert export("--model", folder, "--test-precision", "--out", tmp_path / "tested") == 2
    assert export("--model", folder, "--format", "torch_dist", "--out", tmp_path / "dist") == 2
    assert export("--model", folder, "--out", tmp_path / "out") == 0

    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "--format torch_dist needs the package megatron-core; pip install 'merv[megatron]'" in told[1]
    assert "--test-precision needs the package megatron-core; pip install 'merv[megatron]'" in told[0]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_is_there_needs_overwrite(folder, tmp_path, capsys):
    out = tmp_path / "out"
    export("--model", folder, "--out", out)

    assert export("--model", folder, "--out", out) == 2
    assert "is there already; name another --out, or add --overwrite" in capsys.readouterr().err
    assert export("--model", folder, "--overwrite", "--pp", 2, "--out", out) == 0
    assert len(list((out / "iter_0000001").iterdir())) == 2


def test_a_model_is_not_replaced_by_its_own_export(folder, tmp_path, capsys):
    model = shutil.copytree(folder, tmp_path / "model")

    assert export("--model", model, "--out", model, "--overwrite") == 2

    assert "of which it would be made; name another --out" in capsys.readouterr().err
    assert (model / "model.safetensors").is_file()


def test_a_checkpoint_of_elsewhere_needs_the_model_it_is_of(folder, tmp_path, capsys):
    export("--model", folder, "--out", tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "huggingface")

    assert export("--from-megatron", tmp_path / "out", "--out", tmp_path / "back") == 2
    assert "has no huggingface/, which merv lays aside" in capsys.readouterr().err
    assert export("--from-megatron", tmp_path / "out", "--model", folder, "--out", tmp_path / "back") == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--out", "o"], "nothing to export is named: merv export megatron --model DIR --out DIR"),
        (["--model", "m", "--out", "o", "--reshard"], "--reshard lays out a checkpoint anew; name it with --from-"),
        (
            ["--from-megatron", "m", "--out", "o", "--tp", "2"],
            "--tp and --pp are of a checkpoint to write; add --resh",
        ),
        (["--from-megatron", "m", "--out", "o", "--test-precision"], "--test-precision compares a checkpoint with"),
        (["--model", "m", "--out", "o", "--make-vocab-size-divisible-by", "0"], "divisible_by is 0; at least 1"),
        (
            ["--model", "m", "--out", "o", "--test-precision", "--format", "torch_dist"],
            "reads a checkpoint of --format",
        ),
        (["--model", "m", "--out", "o", "--dtype", "int8"], "int8"),
        (["--model", "nowhere", "--out", "o"], "--model nowhere is no folder; `hf download` a model"),
        (["--from-megatron", "nowhere", "--out", "o"], "nowhere has no huggingface/"),
        (["--model", "m"], "out"),
    ],
)
def test_a_mistake_is_one_line(words, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert export(*words) == 2

    told = capsys.readouterr().err
    assert line in told
    assert len(told.splitlines()) == 1


def test_a_layout_that_does_not_divide_is_one_line(folder, tmp_path, capsys):
    assert export("--model", folder, "--pp", 3, "--out", tmp_path / "out") == 2

    assert "--pp 3 does not divide the 4 layers; choose one of 1, 2, 4" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_stray_word_is_refused():
    from merv.errors import ConfigError

    with pytest.raises(ConfigError, match="`stray` is no option: merv export megatron --model DIR --out DIR"):
        named(["megatron", "stray", "--out", "o"])
    assert named(["megatron", "--overwrite", "--out", "o"]) == ["--overwrite=true", "--out", "o"]
    assert "--help" in named(["megatron", "--help"])

import json

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from merv.errors import CheckpointError, ConfigError
from merv.models.projectors import ProjectorConfig
from merv.models.published import (
    FUSIONS,
    MODELS,
    find_run,
    frame_factor,
    load_checkpoint,
    model_options,
    projector_options,
    read_states,
    save_checkpoint,
)

from .rows import tiny_model


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("no-align+3davg+linear", {"type": "avg3d", "mlp": "linear"}),
        ("3davg+linear", {"type": "avg3d", "mlp": "linear"}),
        ("no-align+avg+gelu-mlp", {"type": "avg2d", "mlp": "gelu-mlp"}),
        ("no-align+conv+fused-gelu-mlp", {"type": "conv2d", "mlp": "fused-gelu-mlp"}),
        ("3dconv+frame2+linear", {"type": "conv3d", "mlp": "linear"}),
        ("no-align+attntv+linear", {"type": "attentive", "mlp": "linear"}),
        ("no-align+linear", {"type": "linear"}),
        ("gelu-mlp", {"type": "mlp"}),
        ("no-align+fused-gelu-mlp", {"type": "fused-mlp"}),
    ],
)
def test_an_arch_specifier_means_a_registered_projector(arch, options):
    found = projector_options(arch)

    assert found == options
    assert ProjectorConfig.new(found.pop("type"), **found)


@pytest.mark.parametrize(("arch", "factor"), [("3davg+linear", 1), ("no-align+3davg+frame4+linear", 4)])
def test_the_frame_factor_is_read_from_the_arch_specifier(arch, factor):
    assert frame_factor(arch) == factor


@pytest.mark.parametrize("arch", ["no-align+3davg+none", "", "3davg"])
def test_an_arch_specifier_without_layers_is_refused(arch):
    with pytest.raises(ConfigError, match=r"arch_specifier .* ends in none of linear, gelu-mlp, fused-gelu-mlp"):
        projector_options(arch)


def config_file(folder, **changed):
    said = {"arch_specifier": "3davg+linear", "feature_fusion": "concat", "type": "merv-base", "vidlm_id": "x"}
    path = folder / "config.json"
    path.write_text(json.dumps({"model": {**said, "num_frames": 8, **changed}}))
    return path


def test_a_published_config_is_put_in_our_names(tmp_path):
    assert model_options(config_file(tmp_path)) == {
        "num_frames": [8],
        "projector": {"type": "avg3d", "mlp": "linear"},
        "fusion": {"type": "concat"},
        "protocol": "reference",
    }


def test_an_unknown_fusion_names_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=rf"feature_fusion is `query_mlp`; known: {', '.join(FUSIONS)}"):
        model_options(config_file(tmp_path, feature_fusion="query_mlp"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": 3}', '{"model": {"arch_specifier": "linear"}}'])
def test_a_file_that_is_no_published_config_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(ConfigError, match="is no config of a published run"):
        model_options(tmp_path / "config.json")


def test_a_checkpoint_is_written_back_as_it_came(tmp_path):
    model, other = tiny_model(seed=1), tiny_model(seed=2)
    path = tmp_path / "checkpoints" / "latest-checkpoint.pt"

    save_checkpoint(model, path, step=3)
    parts = load_checkpoint(other, path)

    assert set(parts) == {"projectors", "fusion", "llm"}
    found = torch.load(path, weights_only=True)
    assert found["step"] == 3
    assert set(found["model"]) == {"projectors", "llm_backbone", "feature_fusion"}
    assert "llm.model.embed_tokens.weight" in found["model"]["llm_backbone"]
    for part in parts:
        own = model.parts()[part].state_dict()
        for name, tensor in other.parts()[part].state_dict().items():
            assert_close(tensor, own[name], atol=0, rtol=0)


def test_names_of_older_checkpoints_are_understood(tmp_path):
    model = tiny_model(video_backbone_ids=["tiny-frames"], num_frames=[4])
    path = tmp_path / "a.pt"
    save_checkpoint(model, path)
    parts = torch.load(path, weights_only=True)["model"]
    parts["projector"] = {k.removeprefix("0."): t for k, t in parts.pop("projectors").items()}
    parts["adapter"] = parts.pop("feature_fusion")
    parts["llm_backbone"]["llm.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    torch.save({"model": parts}, path)

    states = read_states(path)

    assert set(states) == {"projectors", "fusion", "llm"}
    assert load_checkpoint(tiny_model(video_backbone_ids=["tiny-frames"], num_frames=[4]), path)


def test_a_checkpoint_of_another_size_names_the_first_difference(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(tiny_model(), path)

    wide = tiny_model(llm_options={"intermediate_size": 64})
    with pytest.raises(
        CheckpointError, match=r"another model: `llm.*gate_proj.weight` is \(256, 128\) there, \(64, 128"
    ):
        load_checkpoint(wide, path)


def test_a_projector_of_another_size_names_the_first_difference(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(tiny_model(), path)

    narrow = tiny_model(llm_options={"hidden_size": 64})
    with pytest.raises(
        CheckpointError, match=r"another model: `projectors\.0\..*weight` is \(128, 96\) there, \(64, 96\) here$"
    ):
        load_checkpoint(narrow, path)


def test_a_checkpoint_without_the_weights_of_the_fusion_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(tiny_model(), path)
    found = torch.load(path, weights_only=True)
    del found["model"]["feature_fusion"]
    torch.save(found, path)

    with pytest.raises(CheckpointError, match=r"another model: it holds no `fusion`, and this model's has weights"):
        load_checkpoint(tiny_model(), path)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    torch.save({"model": {"projectors": nn.Linear(1, 1)}}, tmp_path / "a.pt")

    with pytest.raises(CheckpointError, match=r"is refused: it asks for `torch.*Linear`, and merv never runs code"):
        read_states(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"model": {"llm_backbone": {}}}, []])
def test_a_file_without_projectors_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")

    with pytest.raises(CheckpointError, match=r"is no checkpoint of a published run: it has no model\.projectors"):
        read_states(tmp_path / "a.pt")


def test_an_unknown_model_names_the_published_ones():
    with pytest.raises(ConfigError, match=r"no published model of that name; did you mean `merv-full`"):
        find_run("merv-ful")


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_that_is_not_here_is_told_in_one_line(name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for module in ("merv.backbones.hub", "merv.models.published"):
        monkeypatch.setattr(f"{module}.hub_is_reachable", lambda: False)
    line = (
        rf"model `{name}` is not on this disk, and the hub .*; run `hf download tyleryzhu/merv --include '{name}/\*'`"
    )

    with pytest.raises(ConfigError, match=line):
        find_run(name)

"""Folders of roles, read and written: VideoMind's layout, peft's own reading of it, and what is refused."""

import copy
import json
import pickle
import types

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close

from merv.errors import CheckpointError, ConfigError
from merv.models.qwen2_vl import published
from merv.models.qwen2_vl.adapter_files import plain_name
from merv.models.qwen2_vl.adapters import speaking
from merv.models.qwen2_vl.base import with_tokens
from merv.models.qwen2_vl.publish import configs_of, shape_of, write_roles
from merv.models.qwen2_vl.published import ROLE_MODELS, find_roles, is_roles, load_roles, read_roles, weight_files
from merv.models.qwen2_vl.roles import ROLES
from merv.models.qwen2_vl.tiny import TINY_BUDGETS, TinyBaseConfig, tiny_base, tiny_tokenizer
from merv.models.reply import Reply

from ..recorded import SHARED
from .role_folders import (
    HIDDEN,
    IDS,
    PREFIX,
    RANK,
    VOCABULARY,
    adapter,
    change_json,
    change_tensors,
    head,
    write_adapter,
    write_published,
)
from .role_rows import all_roles, choosing, grounding, judging, talk

PLANNER, GROUNDER = "planner/adapter_model.safetensors", "grounder/adapter_model.safetensors"
Q = "model.layers.0.self_attn.q_proj"
OURS = "llm.model.model.language_model.layers.0.self_attn.q_proj"


def load(folder):
    found = read_roles(folder)
    return load_roles(found, found.configs, found.own_role)


@pytest.fixture
def folder(tmp_path):
    return write_published(tmp_path / "published")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The folder written by hand, as a model; tests leave it as it is."""
    return load(write_published(tmp_path_factory.mktemp("roles") / "published"))


@pytest.fixture(scope="module")
def model():
    """All five roles on one base; tests leave it as it is."""
    return all_roles()


def test_a_published_folder_becomes_a_model_with_all_its_roles(loaded):
    state = loaded.state_dict()
    written = adapter(1, words=True)

    assert loaded.roles == ("planner", "grounder", "verifier", "answerer")
    assert torch.equal(state[f"{OURS}.lora_B.grounder.weight"], written[f"{PREFIX}{Q}.lora_B.weight"])
    assert torch.equal(
        state["llm.model.model.language_model.embed_tokens.modules_to_save.grounder.weight"],
        written[f"{PREFIX}model.embed_tokens.weight"],
    )
    assert torch.equal(state["llm.model.lm_head.modules_to_save.grounder.weight"], written[f"{PREFIX}lm_head.weight"])
    assert not any("modules_to_save.planner" in name for name in state)
    for key, tensor in head().items():
        assert torch.equal(state[f"heads.grounder.{key.removeprefix(PREFIX)}"], tensor), key


def test_a_published_folder_speaks_videominds_words_with_its_arithmetic_and_looks(loaded):
    assert loaded.config.protocol == loaded.processor.protocol == loaded.heads["grounder"].config.protocol
    assert loaded.config.protocol == "videomind"
    assert {role: loaded.processor.wordings[role] for role in loaded.roles} == dict.fromkeys(loaded.roles, "videomind")
    assert loaded.processor.budgets == TINY_BUDGETS  # those of its base; a published base has the published ones
    assert loaded.config.role == "answerer"


def test_the_scale_of_a_published_adapter_is_alpha_by_rank(loaded):
    layer = loaded.llm.model.get_submodule("model.language_model.layers.0.self_attn.q_proj")

    assert (layer.r["planner"], layer.scaling["planner"], layer.lora_dropout["planner"].p) == (RANK, 8 / RANK, 0.1)


@pytest.mark.skipif(not SHARED.exists(), reason="recordings of VideoMind are not beside this checkout")
@pytest.mark.parametrize("prefix", ["", PREFIX], ids=["bare", "prefixed"])
def test_a_head_with_the_recorded_keys_is_read(folder, prefix):
    recorded = json.loads((SHARED / "g_dims256_head.keys.json").read_text())
    wide = {"vis_proj": HIDDEN, "reg_proj": HIDDEN}  # the recording's language model is 64 wide
    tensors = {}
    for key, shape in recorded.items():
        sizes = [wide[key[:8]] if size == 64 and key[:8] in wide else size for size in shape]
        tensors[prefix + key] = torch.rand(sizes)
    save_file(tensors, folder / "pytorch_model.safetensors")

    state = load(folder).heads["grounder"].state_dict()

    assert {prefix + key for key in state} == set(tensors)
    assert all(torch.equal(tensor, tensors[prefix + key]) for key, tensor in state.items())


def test_a_head_without_what_only_training_uses_is_whole(folder):
    change_tensors(
        folder / "pytorch_model.safetensors",
        lambda tensors: {key: t for key, t in tensors.items() if "bundle_loss" not in key},
    )

    assert "grounder" in load(folder).heads


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        (f"{PREFIX}{Q}.lora_A.weight", "model.language_model.layers.0.self_attn.q_proj.lora_A.weight"),
        (
            f"{PREFIX}model.language_model.layers.3.mlp.up_proj.lora_B.weight",
            "model.language_model.layers.3.mlp.up_proj.lora_B.weight",
        ),
        (f"{PREFIX}{Q}.lora_A.grounder.weight", "model.language_model.layers.0.self_attn.q_proj.lora_A.weight"),
        (f"{Q}.lora_A.weight", "model.language_model.layers.0.self_attn.q_proj.lora_A.weight"),
        (f"{PREFIX}model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
        (f"{PREFIX}model.embed_tokens.modules_to_save.grounder.weight", "model.language_model.embed_tokens.weight"),
        (f"{PREFIX}lm_head.modules_to_save.weight", "lm_head.weight"),
        (f"{PREFIX}lm_head.weight", "lm_head.weight"),
    ],
)
def test_names_of_both_generations_of_transformers_mean_the_same(tmp_path, key, plain):
    assert plain_name(key, tmp_path) == plain


def test_keys_of_transformers_5_and_targets_by_last_name_are_read(folder, loaded):
    change_tensors(
        folder / PLANNER,
        lambda tensors: {key.replace("model.layers", "model.language_model.layers"): t for key, t in tensors.items()},
    )
    change_json(folder / "planner/adapter_config.json", target_modules=["v_proj", "q_proj", "o_proj", "k_proj"])

    assert_close(load(folder).state_dict(), loaded.state_dict(), rtol=0, atol=0)


def test_a_single_role_is_asked_when_none_is_named(tmp_path):
    folder = write_published(tmp_path)
    for role in ("planner", "verifier"):
        for file in (folder / role).iterdir():
            file.unlink()

    found = load(folder)

    assert found.roles == ("grounder", "answerer")
    assert found.config.role == found.processor.role == "grounder"


def test_mupas_joint_role_brings_a_head_of_its_own(folder):
    write_adapter(folder / "GQA", adapter(7, words=True), words=True)
    save_file(head(7), folder / "GQA" / "pytorch_model.safetensors")

    found = load(folder)

    assert set(found.heads) == {"grounder", "gqa"}
    assert torch.equal(found.heads["gqa"].vis_norm.weight, head(7)[f"{PREFIX}vis_norm.weight"])
    assert torch.equal(found.heads["grounder"].vis_norm.weight, head()[f"{PREFIX}vis_norm.weight"])
    assert found.processor.timestamps == ("gqa",)


def test_words_beyond_those_of_a_file_are_the_bases(folder, loaded):
    write_adapter(folder / "grounder", adapter(1, words=True, rows=VOCABULARY - 90), words=True)

    whole = load(folder).llm.model.lm_head
    laid = whole.modules_to_save["grounder"].weight

    assert torch.equal(laid[:-90], adapter(1, words=True, rows=VOCABULARY - 90)[f"{PREFIX}lm_head.weight"])
    assert torch.equal(laid[-90:], whole.original_module.weight[-90:])


def test_a_base_grows_to_the_words_of_a_file(folder):
    write_adapter(folder / "grounder", adapter(1, words=True, rows=VOCABULARY + 10), words=True)

    found = load(folder)

    assert found.llm.vocab_size == VOCABULARY + 10
    assert found.llm.model.lm_head.original_module.weight.shape == (VOCABULARY + 10, HIDDEN)
    verifier = found.llm.model.lm_head.modules_to_save["verifier"].weight
    assert torch.equal(verifier[:VOCABULARY], adapter(2, words=True)[f"{PREFIX}lm_head.weight"])


@pytest.mark.parametrize("keys", ["videomind", "transformers5"])
def test_what_is_written_comes_back_bit_for_bit(model, tmp_path, keys):
    write_roles(model, tmp_path, keys=keys)

    found = load(tmp_path)

    assert_close(found.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert found.roles == model.roles
    assert found.processor.budgets == model.processor.budgets


def test_what_is_written_replies_as_before(model, clips, tmp_path):
    write_roles(model, tmp_path)
    ref = clips["wide"]
    asked = [
        ("grounder", grounding(ref)),
        ("verifier", judging(ref, (1.0, 2.0), 4.0)),
        ("answerer", talk(ref)),
        ("planner", talk(ref)),
        ("gqa", choosing(ref)),
    ]

    expected = model.ask(asked, max_new_tokens=6)

    assert all(isinstance(reply, Reply) for reply in expected)
    assert load(tmp_path).ask(asked, max_new_tokens=6) == expected


def test_each_role_keeps_its_looks_words_and_head(tmp_path):
    folder = write_published(tmp_path / "first")
    found = read_roles(folder)
    configs = found.configs
    configs["verifier"].fps, configs["verifier"].max_frames, configs["verifier"].wording = 0.5, 6, "short"
    configs["grounder"].head.nms_threshold, configs["planner"].timestamps = 0.3, True

    write_roles(load_roles(found, configs, "answerer"), tmp_path / "second")
    again = load(tmp_path / "second")

    assert (again.processor.budgets["verifier"].fps, again.processor.budgets["verifier"].max_frames) == (0.5, 6)
    assert again.processor.budgets["grounder"] == TINY_BUDGETS["grounder"]
    assert again.processor.wordings == {
        "planner": "videomind",
        "grounder": "videomind",
        "verifier": "short",
        "answerer": "videomind",
    }
    assert again.heads["grounder"].config.nms_threshold == 0.3
    assert again.processor.timestamps == ("planner",)
    assert again.config.protocol == again.heads["grounder"].config.protocol == "videomind"


def test_a_role_is_told_in_the_words_it_was_trained_with(tmp_path, clips):
    found = read_roles(write_published(tmp_path))
    found.configs["planner"].wording = "short"
    processor = load_roles(found, found.configs, "answerer").processor

    def told(role):
        return processor.tokenizer.decode(processor.for_role(role).prepare(talk(), answer=False).input_ids)

    assert "acting as the planner" not in told("planner")
    processor.wordings = {}
    assert "acting as the planner" in told("planner")


def test_the_files_and_names_written_are_those_videomind_reads(model, tmp_path):
    write_roles(model, tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    grounder = json.loads((tmp_path / "grounder/adapter_config.json").read_text())

    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    roles = {f"{role}/{name}" for role in ROLES for name in ("adapter_config.json", "adapter_model.safetensors")}
    small = {"config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"}
    assert files == {*roles, *small, "pytorch_model.safetensors", "gqa/pytorch_model.safetensors"}
    assert (said["model_type"], said["role"], said["base_model_path"]) == ("agent_qwen2_vl", "grounder", "tiny")
    assert {key: said[key] for key in IDS} == IDS
    assert grounder["modules_to_save"] == ["embed_tokens", "lm_head"]
    assert json.loads((tmp_path / "planner/adapter_config.json").read_text())["modules_to_save"] is None
    assert Q in grounder["target_modules"]
    keys = set(load_file(tmp_path / GROUNDER))
    assert {f"{PREFIX}{Q}.lora_A.weight", f"{PREFIX}model.embed_tokens.weight", f"{PREFIX}lm_head.weight"} <= keys
    assert all(
        key.startswith(f"{PREFIX}vis_") for key in load_file(tmp_path / "pytorch_model.safetensors") if "vis_" in key
    )


def test_the_shape_written_builds_the_base_again(model):
    from transformers import Qwen2VLConfig

    shape = shape_of(model.llm.model.config)
    built = Qwen2VLConfig(**copy.deepcopy(shape))  # it changes what it is given

    assert shape_of(built) == shape


class Old(nn.Module):
    """A base with the modules where transformers 4.45 has them."""

    config = types.SimpleNamespace(to_dict=dict)

    def __init__(self, base):
        super().__init__()
        self.model, self.lm_head = base.model.language_model, base.lm_head

    def forward(self, input_ids):
        return types.SimpleNamespace(logits=self.lm_head(self.model(input_ids).last_hidden_state))

    def prepare_inputs_for_generation(self):
        """peft looks for it."""


@pytest.mark.parametrize("keys", ["videomind", "transformers5"])
@pytest.mark.parametrize("role", ["grounder", "planner"])
def test_peft_alone_reads_an_adapter_and_computes_the_same(model, tmp_path, keys, role):
    write_roles(model, tmp_path, keys=keys)
    ids, positions = torch.arange(5, 25)[None], torch.arange(20).expand(3, 1, -1)
    tokenizer = tiny_tokenizer()
    base = tiny_base(model.config.tiny, tokenizer)
    with_tokens(base, tokenizer)

    theirs = PeftModel.from_pretrained(Old(base) if keys == "videomind" else base, tmp_path / role).eval()
    with torch.no_grad(), speaking(model.llm, [role]):
        ours = model.llm.logits(model.llm(model.llm.embed(ids), None, positions))
        found = theirs.base_model(input_ids=ids).logits
        with speaking(model.llm, ["nobody"]):
            plain = model.llm.logits(model.llm(model.llm.embed(ids), None, positions))

    # two orders of float32 sums
    assert_close(found, ours, rtol=1e-4, atol=1e-4)
    assert (ours - plain).abs().max() > 1e-2


def drop(name):
    return lambda folder: (folder / name).unlink()


def resize(name, key, shape):
    def change(folder):
        change_tensors(folder / name, lambda tensors: tensors.update({PREFIX + key: torch.zeros(shape)}))

    return change


def say(name, **values):
    return lambda folder: change_json(folder / name, **values)


def as_pickle(name, pickled):
    def change(folder):
        (folder / name).unlink()
        (folder / name).with_name(pickled).write_bytes(pickle.dumps({}))

    return change


def rename(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def without(name, part):
    def change(folder):
        change_tensors(folder / name, lambda tensors: {k: t for k, t in tensors.items() if part not in k})

    return change


def damage(name):
    return lambda folder: (folder / name).write_bytes(b"\x10")


def head_of(**options):
    return lambda folder: save_file(head(**options), folder / "pytorch_model.safetensors")


REFUSED = {
    "role nobody knows": (rename("planner", "plannr"), r"plannr is an adapter of no role we know; did you mean `plan"),
    "another model": (
        say("config.json", model_type="llama"),
        r"config.json is of a `llama`; beside adapters of roles",
    ),
    "damaged config": (damage("config.json"), r"config.json cannot be read: .*; copy it again"),
    "damaged adapter config": (damage("planner/adapter_config.json"), r"adapter_config.json cannot be read: "),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), r"config.json holds no JSON object"),
    "damaged adapter": (damage(PLANNER), r"planner/adapter_model.safetensors cannot be read: "),
    "damaged head": (damage("pytorch_model.safetensors"), r"pytorch_model.safetensors cannot be read: "),
    "no adapter": (drop(PLANNER), r"planner lacks adapter_model.safetensors; copy it as well"),
    "no head": (drop("pytorch_model.safetensors"), r"published lacks pytorch_model.safetensors; copy it as well"),
    "adapter is a pickle": (
        as_pickle(PLANNER, "adapter_model.bin"),
        r"planner/adapter_model.bin is refused: it is a pickle, .* save it as adapter_model.safetensors",
    ),
    "head is a pickle": (
        as_pickle("pytorch_model.safetensors", "pytorch_model.bin"),
        r"pytorch_model.bin is refused: it is a pickle",
    ),
    "another rank": (
        say("planner/adapter_config.json", r=8),
        r"planner/adapter_model.safetensors: `.*lora_[AB].weight` is \(.*\), of rank 4; adapter_config.json says 8",
    ),
    "another kind": (say("planner/adapter_config.json", peft_type="IA3"), r"is of a IA3 of rank 4; expected a LORA"),
    "another sum": (say("planner/adapter_config.json", use_dora=True), r"sets use_dora, which changes what adapters"),
    "biases": (say("planner/adapter_config.json", bias="all"), r"sets bias, which changes what adapters compute"),
    "another base's name": (
        say("planner/adapter_config.json", base_model_name_or_path="zoo/Qwen2-VL-7B-Instruct"),
        r"adapter_config.json is for the base Qwen2-VL-7B-Instruct, .*config.json for tiny",
    ),
    "another base's size": (
        say("config.json", hidden_size=1536),
        r"config.json is for another base: hidden_size is 1536 there, 128 in tiny",
    ),
    "another base's tensors": (
        resize(GROUNDER, f"{Q}.lora_A.weight", (RANK, 64)),
        r"grounder/adapter_model.safetensors is of another model: `.*` is \(4, 64\) there, \(4, 128\) here; an ad",
    ),
    "another base's words": (
        resize(GROUNDER, "lm_head.weight", (VOCABULARY, 64)),
        rf"`lm_head.weight` is \({VOCABULARY}, 64\) there, \({VOCABULARY}, 128\) here",
    ),
    "a layer too many": (
        resize(PLANNER, "model.layers.9.self_attn.q_proj.lora_A.weight", (RANK, HIDDEN)),
        r"the base has no linear layer `model.language_model.layers.9.self_attn.q_proj`",
    ),
    "a layer nobody named": (
        resize(PLANNER, "model.layers.0.mlp.up_proj.lora_A.weight", (RANK, HIDDEN)),
        r"`model.language_model.layers.0.mlp.up_proj` is none of the target_modules its config names",
    ),
    "a layer too few": (
        without(PLANNER, "layers.1.self_attn.q_proj"),
        r"lacks 1 layers of its target_modules, such as `model.language_model.layers.1.self_attn.q_proj`",
    ),
    "half a layer": (
        without(PLANNER, "layers.1.self_attn.q_proj.lora_B"),
        r"lacks 1 tensors, such as `model.language_model.layers.1.self_attn.q_proj.lora_B.weight`",
    ),
    "nothing at all": (without(PLANNER, "lora_"), r"holds no adapter: none of its tensors is called lora_A"),
    "words too few": (without(GROUNDER, "lm_head"), r"lacks `lm_head`; adapter_config.json has modules_to_save \["),
    "words too many": (
        resize(PLANNER, "lm_head.weight", (VOCABULARY, HIDDEN)),
        r"planner/adapter_model.safetensors holds `lm_head`; adapter_config.json has modules_to_save \[\]",
    ),
    "a vector": (resize(PLANNER, f"{Q}.lora_A.weight", (RANK,)), r"`.*` is \(4,\); adapters hold matrices"),
    "vision": (
        resize(PLANNER, "visual.blocks.0.attn.qkv.lora_A.weight", (4, 64)),
        r"is about the vision tower; adapt",
    ),
    "something else": (
        resize(PLANNER, "score.weight", (4, 64)),
        r"score.weight` is no tensor of an adapter on a Qwen2",
    ),
    "head of other dims": (
        head_of(dims=64),
        r"pytorch_model.safetensors is of another model: `vis_proj.1.weight` is \(64, 128\) there, \(256, 128\) here",
    ),
    "a head with a part missing": (
        without("pytorch_model.safetensors", "pyramid"),
        r"`pyramid.blocks.1.1.weight` is missing there, \(256, 256, 2\) here",
    ),
    "other tokens": (
        say("config.json", seg_s_token_id=7),
        r"config.json is for another tokenizer: seg_s_token_id is 7 there, \d+ in that of tiny",
    ),
    "a base nobody knows": (
        say("config.json", base_model_path="zoo/Llava"),
        r"base_model_path is `zoo/Llava`, which is no folder here and none of Qwen2-VL-2B-Instruct, .*; name the base",
    ),
    "our part damaged": (say("config.json", merv={"planner": {}}), r"config.json: `merv` cannot be used: KeyError"),
    "our part of a later version": (
        say("config.json", merv={role: {"path": None, "tides": 1} for role in ROLES}),
        r"config.json: `merv` cannot be used: ValueError unknown `tides`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_told_in_one_line(folder, case):
    break_it, line = REFUSED[case]
    break_it(folder)

    with pytest.raises((CheckpointError, ConfigError), match=line) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_the_head_of_a_second_role_has_to_be_its_own(folder):
    write_adapter(folder / "gqa", adapter(7, words=True), words=True)

    with pytest.raises(CheckpointError, match=r"gqa lacks pytorch_model.safetensors, the head of the gqa; the one in"):
        load(folder)


def test_a_base_that_is_missing_is_told(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("merv.backbones.llm.files.hub_is_reachable", lambda: False)
    for file in [folder / "config.json"]:
        change_json(file, base_model_path="model_zoo/Qwen2-VL-2B-Instruct")
    for role in ("planner", "grounder", "verifier"):
        change_json(folder / role / "adapter_config.json", base_model_name_or_path="elsewhere/Qwen2-VL-2B-Instruct")

    with pytest.raises(ConfigError, match=r"base `Qwen/Qwen2-VL-2B-Instruct`: no weights on this disk, and the hub"):
        load(folder)


def test_a_base_elsewhere_may_be_named(folder, tmp_path):
    change_json(folder / "config.json", base_model_path="zoo/Qwen2-VL-Mine")
    for role in ("planner", "grounder", "verifier"):
        change_json(folder / role / "adapter_config.json", base_model_name_or_path=None)

    found = read_roles(folder, tmp_path)

    assert {config.path for config in found.configs.values()} == {tmp_path}


def test_a_base_that_is_no_qwen2_vl_is_refused(folder, monkeypatch):
    from merv.backbones.llm.tiny import byte_level_tokenizer

    monkeypatch.setattr("merv.models.qwen2_vl.config.tiny_base", lambda config, _: tiny_base(config, tiny_tokenizer()))
    monkeypatch.setattr("merv.models.qwen2_vl.config.tiny_tokenizer", lambda: byte_level_tokenizer(["a"]))

    with pytest.raises(ConfigError, match=r"the tokenizer lacks <\|vision_start\|>.*: the base is no Qwen2-VL"):
        load(folder)


def test_folders_of_roles_are_told_from_others(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")

    assert is_roles(folder)
    assert not is_roles(tmp_path / "other")
    assert not is_roles(folder / "planner")
    assert not is_roles(tmp_path / "nothing")


def test_a_hash_sees_every_file_that_counts(folder):
    (folder / "README.md").write_text("words")
    (folder / "eval").mkdir()

    names = [str(path.relative_to(folder)) for path in weight_files(folder)]

    adapters = [f"{role}/{n}" for role in ("grounder", "planner", "verifier") for n in ("adapter_config.json",)]
    tensors = [name.replace("config.json", "model.safetensors") for name in adapters]
    assert names == sorted([*adapters, *tensors, "config.json", "pytorch_model.safetensors"])


def test_without_a_hub_a_published_name_ends_in_one_line(monkeypatch):
    monkeypatch.setattr(published, "hub_is_reachable", lambda: False)
    monkeypatch.setattr(published, "find_cached", lambda repo, name: None)

    with pytest.raises(
        ConfigError, match=r"model `yeliudev/VideoMind-2B`: .*cannot be reached from here; run `hf down"
    ):
        find_roles("yeliudev/VideoMind-2B")


def test_a_published_model_in_the_cache_is_found_there(monkeypatch, folder):
    monkeypatch.setattr(published, "find_cached", lambda repo, name: folder / name)

    assert [find_roles(name) for name in ROLE_MODELS] == [folder] * 2


def test_the_config_of_each_role_is_what_the_model_does(model):
    configs = configs_of(model)

    assert list(configs) == list(ROLES)
    assert all(configs[role].budgets()[role] == model.processor.budgets[role] for role in ROLES)
    assert isinstance(configs["grounder"].tiny, TinyBaseConfig)

"""Adapters made part of their base; plain peft and transformers say what comes out."""

import json
import shutil

import pytest
import torch
from models.hf_vlm.adapted import WORN, adapted, load, logits, saved_adapter
from safetensors.torch import load_file, save_file
from tiny_vlms import KINDS, tiny_vlm
from transformers import AutoModelForCausalLM, AutoProcessor, LlamaConfig, LlamaForCausalLM

from merv import space
from merv.backbones.llm import zoo
from merv.errors import CheckpointError, ConfigError
from merv.export import merge
from merv.export.merge import bytes_of, check_repository, find_base, merge_plain, push
from merv.models.hf_vlm.adapter_files import Base, read_adapter
from merv.models.peft_files import ADAPTER


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    root = tmp_path_factory.mktemp("bases")
    return {name: tiny_vlm(name, root / name) for name in KINDS}


@pytest.fixture(scope="module")
def adapters(bases, tmp_path_factory):
    """Folders of adapters by the names of their bases."""
    root, folders = tmp_path_factory.mktemp("adapters"), {}
    for name, base in bases.items():
        folders[name] = saved_adapter(adapted(base, **WORN[name]), root / name, Base.of(str(base), base))
    return folders


def merge_into(out, adapter, base, dtype=None):
    """Merge, as `merv export merge` does; gives the folder."""
    out.mkdir()
    merge_plain(read_adapter(adapter), str(base), base, out, dtype)
    return out


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_merged_logits_are_those_of_peft(name, bases, adapters, tmp_path):
    from peft import PeftModel

    worn = PeftModel.from_pretrained(load(bases[name]), adapters[name])

    out = merge_into(tmp_path / "out", adapters[name], bases[name])

    assert not torch.allclose(logits(worn), logits(load(bases[name])), atol=1e-2)
    torch.testing.assert_close(logits(load(out)), logits(worn), rtol=1e-4, atol=1e-4)
    assert AutoProcessor.from_pretrained(out).chat_template == AutoProcessor.from_pretrained(bases[name]).chat_template


@pytest.mark.parametrize("name", KINDS)
def test_a_merged_folder_is_laid_out_like_its_base(name, bases, adapters, tmp_path):
    out = merge_into(tmp_path / "out", adapters[name], bases[name])

    assert {path.name for path in out.iterdir()} == {path.name for path in bases[name].iterdir()}
    base, found = (load_file(folder / "model.safetensors") for folder in (bases[name], out))
    assert {key: (t.shape, t.dtype) for key, t in found.items()} == {
        key: (t.shape, t.dtype) for key, t in base.items()
    }
    for file in ("tokenizer.json", "generation_config.json", "processor_config.json"):
        assert (out / file).read_bytes() == (bases[name] / file).read_bytes()


@pytest.mark.parametrize(("name", "part"), [("qwen2-vl", "q_proj"), ("aria", "experts")])
def test_a_base_in_bfloat16_is_summed_in_float32_and_rounded_once(name, part, bases, adapters, tmp_path):
    low = tmp_path / "low"
    model = load(bases[name], dtype=torch.bfloat16)
    model.save_pretrained(low)
    for path in bases[name].glob("tokenizer*"):
        shutil.copy(path, low)
    adapter = shutil.copytree(adapters[name], tmp_path / "adapter")
    (adapter / "base.json").unlink()
    exact = merge_into(tmp_path / "exact", adapter, low, torch.float32)

    rounded = merge_into(tmp_path / "rounded", adapter, low)

    whole, half = (load_file(folder / "model.safetensors") for folder in (exact, rounded))
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}
    assert {tensor.dtype for tensor in whole.values()} == {torch.float32}
    assert all(torch.equal(whole[key].bfloat16(), half[key]) for key in whole)
    changed = [key for key in whole if not torch.equal(whole[key], half[key].float())]
    assert any(part in key for key in changed)
    assert json.loads((rounded / "config.json").read_text())["dtype"] == "bfloat16"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_base_in_float32_is_summed_before_it_is_rounded(dtype, bases, adapters, tmp_path):
    exact = merge_into(tmp_path / "exact", adapters["llava"], bases["llava"])

    rounded = merge_into(tmp_path / "rounded", adapters["llava"], bases["llava"], dtype)

    whole, half = (load_file(folder / "model.safetensors") for folder in (exact, rounded))
    assert all(torch.equal(whole[key].to(dtype), half[key]) for key in whole)


def words_alone(folder, *, tied):
    """A small Llama with a tokenizer in a folder."""
    from merv.models.qwen2_vl.tiny import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=tied, initializer_range=0.2, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("options", [{"target_modules": ["q_proj"]}, {"target_modules": "all-linear"},
                                     {"target_modules": ["q_proj", "lm_head"]}, {"target_modules": ["embed_tokens"]},
                                     {"target_modules": ["v_proj"], "modules_to_save": ["lm_head"]},
                                     {"target_modules": ["v_proj"], "modules_to_save": ["embed_tokens"]},
                                     {"target_modules": ["q_proj"], "use_dora": True}])  # fmt: skip
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_a_language_model_with_an_adapter_of_peft_is_merged(options, tied, tmp_path):
    """Where words and head were one and the adapter changes either, they are two in what comes out."""
    from peft import LoraConfig, get_peft_model

    base = words_alone(tmp_path / "base", tied=tied)
    worn = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=2, **options)).eval()
    with torch.no_grad():
        for name, parameter in worn.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    worn.save_pretrained(tmp_path / "adapter")

    out = merge_into(tmp_path / "out", tmp_path / "adapter", base)

    merged = AutoModelForCausalLM.from_pretrained(out).eval()
    torch.testing.assert_close(logits(merged), logits(worn), rtol=1e-4, atol=1e-4)
    touched = {"lm_head", "embed_tokens"} & {*options["target_modules"], *options.get("modules_to_save", ())}
    assert merged.config.tie_word_embeddings == (tied and not touched)


def test_new_words_beside_an_adapter_are_kept(bases, adapters, tmp_path):
    adapter = shutil.copytree(adapters["llava"], tmp_path / "adapter")
    processor = AutoProcessor.from_pretrained(bases["llava"])
    processor.chat_template = "{{ 'own' }}"
    processor.save_pretrained(adapter)

    out = merge_into(tmp_path / "out", adapter, bases["llava"])

    assert AutoProcessor.from_pretrained(out).chat_template == "{{ 'own' }}"


def test_another_base_is_refused_before_it_is_read(adapters, bases, tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "load_model", None)

    with pytest.raises(
        CheckpointError, match=r"was trained on .*qwen2-vl \(fingerprint .*not on .*llava .*name --base"
    ):
        merge_into(tmp_path / "out", adapters["qwen2-vl"], bases["llava"])


def test_a_foreign_adapter_of_other_shapes_is_refused(adapters, bases, tmp_path):
    adapter = shutil.copytree(adapters["qwen2.5-vl"], tmp_path / "adapter")
    (adapter / "base.json").unlink()
    tensors = load_file(adapter / ADAPTER)
    key = next(key for key in tensors if "lora_A" in key)
    save_file({**tensors, key: torch.zeros(4, 5)}, adapter / ADAPTER)

    with pytest.raises(CheckpointError, match=r"lora_A\.weight` is \(4, 5\) there, \(4, 32\) here"):
        merge_into(tmp_path / "out", adapter, bases["qwen2.5-vl"])


def test_a_quantised_base_is_refused(adapters, bases, tmp_path):
    base = shutil.copytree(bases["qwen2-vl"], tmp_path / "base")
    said = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**said, "quantization_config": {"quant_method": "bitsandbytes"}}))

    with pytest.raises(ConfigError, match=r"is quantised.*name the one it was made of"):
        merge_into(tmp_path / "out", adapters["qwen2-vl"], base)


def test_numbers_that_float16_cannot_hold_are_refused(adapters, bases, tmp_path):
    base = shutil.copytree(bases["qwen2-vl"], tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] + 1e5
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    adapter = shutil.copytree(adapters["qwen2-vl"], tmp_path / "adapter")
    (adapter / "base.json").unlink()

    with pytest.raises(ConfigError, match="more than float16 can; choose --dtype bfloat16"):
        merge_into(tmp_path / "out", adapter, base, torch.float16)


def test_too_small_a_disk_is_told_before_anything_is_read(adapters, bases, tmp_path, monkeypatch):
    monkeypatch.setattr(merge, "load_model", None)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 10))

    with pytest.raises(ConfigError, match=r"needs 0\.00 GB and .* has 0\.00 GB free"):
        merge_into(tmp_path / "out", adapters["qwen2-vl"], bases["qwen2-vl"])


def test_bytes_follow_the_type(bases):
    tensors = load_file(bases["aria"] / "model.safetensors")
    numbers = sum(tensor.numel() for tensor in tensors.values())

    assert bytes_of(bases["aria"], torch.bfloat16) == 2 * numbers
    assert bytes_of(bases["aria"], torch.float32) == 4 * numbers
    assert bytes_of(bases["aria"], None) == (bases["aria"] / "model.safetensors").stat().st_size


def test_a_base_is_found_in_model_zoo(bases, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bases["llava"], tmp_path / zoo.ZOO / "tiny-llava")

    assert find_base("someone/tiny-llava") == zoo.ZOO / "tiny-llava"
    assert find_base(str(bases["llava"])) == bases["llava"]


def test_a_base_that_is_nowhere_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ConfigError, match=r"base `someone/nothing`: no weights on this disk.*--base"):
        find_base("someone/nothing")
    with pytest.raises(ConfigError, match=r"base `/not/there`: .* does not exist; set --base"):
        find_base("/not/there")


@pytest.mark.parametrize("name", ["model", "a/b/c", "/a", "a/", "a b/c"])
def test_a_repository_has_an_owner(name):
    with pytest.raises(ConfigError, match="name a repository as owner/name"):
        check_repository(name)


def test_a_folder_is_pushed_to_a_private_repository(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.create_repo", lambda *args, **options: asked.append((args, options)))
    monkeypatch.setattr("huggingface_hub.upload_folder", lambda **options: asked.append(options))

    push(tmp_path, "owner/name")

    assert asked[0] == (("owner/name",), {"private": True, "exist_ok": True})
    assert (asked[1]["repo_id"], asked[1]["folder_path"]) == ("owner/name", tmp_path)


def test_what_the_hub_refuses_is_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError("no\nentry")

    monkeypatch.setattr("huggingface_hub.create_repo", refuse)

    with pytest.raises(ConfigError, match=r"is written, but cannot be pushed to owner/name: no entry; log in"):
        push(tmp_path, "owner/name")

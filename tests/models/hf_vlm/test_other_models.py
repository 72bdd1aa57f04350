"""Models the family was not written for: each stands for a habit of processors or decoders."""

import pytest
import torch
from other_vlms import OTHERS, other_vlm
from torch.nn.functional import cross_entropy
from torch.testing import assert_close
from transformers import AutoModelForImageTextToText

from merv.errors import ConfigError
from merv.models.freeze import set_stage
from merv.models.hf_vlm.config import HfVlmConfig
from merv.models.hf_vlm.run_folder import write_run
from merv.models.stage import LoraConfig, StageConfig

from .rows import film, picture, sample

ENDS = {"qwen3-vl": "<|im_end|>", "internvl": "<|im_end|>", "gemma3": "<end_of_turn>"}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    root = tmp_path_factory.mktemp("others")
    made = {name: other_vlm(name, root / name) for name in OTHERS}
    return made.__getitem__


@pytest.fixture
def model_of(folder_of):
    return lambda name: (
        HfVlmConfig(path=str(folder_of(name)), dtype="float32", max_length=1024, num_frames=4).build().eval()
    )


@pytest.fixture
def rows(tmp_path):
    return [
        sample("What is it?", "red circle", image=picture(tmp_path, 1)),
        sample("What happens?", "blue", video=film(tmp_path, 2)),
        sample("Which?", "star left right"),
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_answers_and_the_end_of_the_turn_are_learned(name, model_of, rows):
    model = model_of(name)
    tokenizer = model.processor.tokenizer

    learned = [model.processor.prepare(row).labels for row in rows]

    texts = [tokenizer.decode(labels[labels != -100]) for labels in learned]
    assert texts == [f"{text}{ENDS[name]}" for text in ("red circle", "blue", "star left right")]
    assert tokenizer.convert_tokens_to_ids(ENDS[name]) in model.language.end_ids


@pytest.mark.parametrize("name", OTHERS)
def test_the_loss_is_that_of_transformers_own_forward(name, model_of, rows):
    model = model_of(name)
    batch = model.processor.collate([model.processor.prepare(row) for row in rows])

    logits = model.model(**batch.inputs(), attention_mask=batch.attention_mask.long()).logits

    wanted = cross_entropy(logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="sum")
    assert_close(model(batch).loss_sum, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OTHERS)
def test_rows_are_answered_alike_alone_and_together(name, model_of, rows):
    model = model_of(name)
    prompts = [model.processor.prepare(row, answer=False) for row in rows]

    together = model.respond(model.processor.collate(prompts, pad="left"), max_new_tokens=4)

    alone = [model.respond(model.processor.collate([prompt], pad="left"), max_new_tokens=4)[0] for prompt in prompts]
    assert together == alone


@pytest.mark.parametrize("name", OTHERS)
def test_adapters_learn(name, model_of, rows):
    model = model_of(name)

    set_stage(model, "finetune", StageConfig(lora=LoraConfig(rank=2, dropout=0.0)))
    model(model.processor.collate([model.processor.prepare(row) for row in rows])).loss_sum.backward()

    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_written_from_its_tensors_is_the_model(name, model_of, tmp_path):
    model, ids = model_of(name), torch.tensor([[5, 9, 300, 310, 17]])

    write_run(tmp_path / "run", model, model.state_dict())

    opened = AutoModelForImageTextToText.from_pretrained(tmp_path / "run").eval()
    assert_close(opened(input_ids=ids).logits, model.model(input_ids=ids).logits)


@pytest.mark.parametrize(("name", "what"), [("qwen3-vl", "deepstack_visual_embeds"), ("gemma3", "a mask of its own")])
def test_a_decoder_that_is_given_more_than_embeddings_says_so(name, what, model_of, rows):
    model = model_of(name)
    batch = model.processor.collate([model.processor.prepare(row, answer=False) for row in rows[:1]], pad="left")

    with pytest.raises(ConfigError, match=f"hands its decoder {what}"):
        model.prompts(batch)

"""A small Llama and a byte-level tokenizer, both made on the spot: for the demo, the tests and CI."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from merv.backbones.llm.base import LLM, LLMConfig
from merv.backbones.llm.prompts import PromptTemplate

WORDS = """\
In: Out: Options: (A) (B) (C) (D) (E) A B C D What Which Where When Who How Is Are Do Does In the a an of to
is are in on at and or then first last before after does do which what where shape shapes colour colours color
it its appear appears move moves moving change changes order direction way clip video image picture frame red
green blue yellow white purple orange cyan circle square triangle cross star left right up down start end
begin seconds yes no true false Yes No Answer answer with one option options only from this that sides many
has have not Describe describe . , ? ! ; :"""
"""What the tokenizer keeps whole; other text falls apart into shorter pieces, down to bytes, and nothing is lost."""


@LLMConfig.register_subclass("tiny-llama")
@dataclass
class TinyLlamaConfig(LLMConfig):
    """A Llama of a few hundred thousand parameters with random weights."""

    pretrained: ClassVar[bool] = False

    hidden_size: int = 128
    """Width of the embeddings."""
    intermediate_size: int = 256
    """Width inside the feed-forward layers."""
    num_layers: int = 2
    """Decoder layers."""
    num_heads: int = 4
    """Attention heads."""

    def build(self) -> LLM:
        """Draw the weights from torch's generator and make the tokenizer."""
        from transformers import LlamaConfig, LlamaForCausalLM

        tokenizer = byte_level_tokenizer(WORDS.split())
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            num_key_value_heads=self.num_heads,
            max_position_embeddings=self.max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            initializer_range=self.hidden_size**-0.5,  # the usual 0.02 is for widths in the thousands
            dtype=torch.float32,
        )
        return LLM(LlamaForCausalLM(config), tokenizer, PromptTemplate(before_answer=" "), max_length=self.max_length)


def byte_level_tokenizer(words: Iterable[str]) -> Any:
    """A byte-level BPE tokenizer that keeps each of `words` in one token when a space stands before it.

    The merges spell each word from its first letter on, so the result depends on nothing but the words' order.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>"]
    vocab = {token: number for number, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    merges: list[tuple[str, str]] = []
    for word in words:
        prefix = "Ġ"
        for letter in word:
            if prefix + letter not in vocab:
                vocab[prefix + letter] = len(vocab)
                merges.append((prefix, letter))
            prefix += letter
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation("isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", padding_side="right"
    )

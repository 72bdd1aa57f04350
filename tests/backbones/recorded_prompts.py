"""Prompts recorded from the original, and the tokenizers they were recorded with; provenance beside them."""

import json
import re
from pathlib import Path

from merv.backbones.llm.loading import load_tokenizer
from merv.chat import Turn

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
BUILDERS = json.loads((GOLDEN / "prompts" / "d_prompts.json").read_text())["builders"]
CASES = [(builder, case) for builder in BUILDERS for case in BUILDERS[builder]["cases"]]
CAPTION = [Turn("user", "<image>\nDescribe it."), Turn("assistant", " A dog runs. ")]


def tokenizer_of(builder):
    return load_tokenizer(GOLDEN / "tokenizers" / BUILDERS[builder]["tokenizer"], builder)


def turns_of(builder, case, *, placeholders=True):
    """The recorded conversation; without placeholders as merv's reader of annotation files gives it."""
    roles = {"human": "user", "gpt": "assistant"}
    turns = [Turn(roles[speaker], text) for speaker, text in BUILDERS[builder]["cases"][case]["conversation"]]
    if placeholders:
        return turns
    return [Turn(turn.role, re.sub(r"(?:<image>|<video>)\n?", "", turn.text).strip()) for turn in turns]

"""Language models; importing registers their names and loads no weights."""

from merv.backbones.llm import published, tiny
from merv.backbones.llm.base import LLM, LLMConfig

__all__ = ["LLM", "LLMConfig", "published", "tiny"]

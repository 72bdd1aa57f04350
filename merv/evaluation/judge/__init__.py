"""Judges: programs that say whether a free answer means the same as the true one; importing registers them."""

from merv.evaluation.judge.asking import verdicts
from merv.evaluation.judge.client import OpenAIJudgeConfig
from merv.evaluation.judge.config import Judge, JudgeConfig
from merv.evaluation.judge.local import CommandJudgeConfig, MervJudgeConfig, give_loader
from merv.evaluation.judge.prompts import Case
from merv.evaluation.judge.replies import Verdict

__all__ = [
    "Case",
    "CommandJudgeConfig",
    "Judge",
    "JudgeConfig",
    "MervJudgeConfig",
    "OpenAIJudgeConfig",
    "Verdict",
    "give_loader",
    "verdicts",
]

"""Agents: roles of one model that look for the moment a question is about, check it, and answer."""

from merv.agent.chain import Chain, ChainConfig
from merv.agent.record import Candidate, ChainReply
from merv.agent.roles import ROLES, RoleModel

__all__ = ["ROLES", "Candidate", "Chain", "ChainConfig", "ChainReply", "RoleModel"]

"""Reinforcement learning from rewards, GRPO, for every family: answers are sampled, scored and learnt from."""

"""Grounded questions built from moments: written by a language model, checked, and asked again without the video.

After MUPA (https://github.com/soughtlin/MUPA), whose question sets were written by GPT-4o-mini and filtered until a
model that sees no video is right about 20 % of the time.
"""

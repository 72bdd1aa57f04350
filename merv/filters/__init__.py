"""Choosing images before training: quality by a trained classifier or CLIP, best views, near-duplicates."""

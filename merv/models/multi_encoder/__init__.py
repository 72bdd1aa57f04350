"""MERV's family: several video encoders, a projector for each, a fusion, and one language model."""

"""merv: train, fine-tune, evaluate and run modular video-language models."""

__version__ = "0.1.0"

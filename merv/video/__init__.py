"""Video and images as uint8 tensors: which frames, how to decode them, how to bring them to a size."""

from merv.video.media import MediaRef, Span

__all__ = ["MediaRef", "Span"]

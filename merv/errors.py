"""Errors a user can cause.  Each carries one line: what, where, what was found, what to do."""


class MervError(ValueError):
    """Base of the errors a command reports in one line with exit status 2."""

    def __init__(self, line: str = "", *, below: str = "") -> None:
        """Say `line`; `below` is a picture for the lines after it, such as a tree of folders."""
        super().__init__(line)
        self.below = below


class ConfigError(MervError):
    """An option, a choice or a combination of values that cannot work."""


class SampleError(MervError):
    """A row or a media file that cannot become an example; training records it and goes on."""


class CheckpointError(MervError):
    """A checkpoint that is missing, incomplete or belongs to another model."""


class RunStopped(MervError):  # noqa: N818 - it says what happened
    """Training stopped itself: a loss that is not finite, too many bad samples, dead workers."""

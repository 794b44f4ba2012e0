"""What can go wrong with a checkpoint that someone else wrote."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be converted as it is; the message says why and what to do."""

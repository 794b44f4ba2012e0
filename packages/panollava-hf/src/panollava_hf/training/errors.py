"""What can go wrong in a run, told in one line."""


class TrainingError(RuntimeError):
    """A run that cannot start or go on; the message says why and what to do."""

"""What can go wrong in an evaluation through no fault of the program."""


class EvaluationError(ValueError):
    """An evaluation that cannot be run as asked; the message says why and what to do."""

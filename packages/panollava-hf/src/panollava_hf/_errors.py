"""The errors that a user can fix. One base class, so that the command line catches them in one place."""


class PanoLLaVaError(Exception):
    """Base of all errors of this package; the message says what is wrong, what was expected and what to do."""


class UsageError(PanoLLaVaError):
    """An option or argument of the command line that cannot work."""


class OutputExistsError(PanoLLaVaError, FileExistsError):
    """An output path that already exists and will not be overwritten."""


class TableError(PanoLLaVaError, ValueError):
    """A table of panoramas, questions and answers that cannot be read."""


class PanoShapesError(PanoLLaVaError, ValueError):
    """An impossible scene, question or option of PanoShapes."""


class RecipeError(PanoLLaVaError, ValueError):
    """A training recipe with an unknown key or an impossible value."""


class TrainingError(PanoLLaVaError, RuntimeError):
    """A training run that cannot start or continue."""


class EvaluationError(PanoLLaVaError, ValueError):
    """An evaluation that cannot be run as requested."""


class CheckpointError(PanoLLaVaError, ValueError):
    """A checkpoint of the original code that cannot be converted."""


class ExportError(PanoLLaVaError, ValueError):
    """A checkpoint, code or results file that cannot be exported."""


class PushError(PanoLLaVaError):
    """A folder or repository name that cannot be pushed, or a push that failed. The message contains no token."""

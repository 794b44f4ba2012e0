"""The errors that a user can fix. One base class, so that the command line catches them in one place.

`boundary` turns the exceptions of other libraries into these errors, at the one place where each kind of input is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

#: Longest text of another library's exception that becomes part of a message.
_MAX_CAUSE = 200


class PanoLLaVaError(Exception):
    """Base of all errors of this package; the message says what is wrong, what was expected and what to do."""


class UsageError(PanoLLaVaError):
    """An option or argument of the command line that cannot work."""


class OutputExistsError(PanoLLaVaError, FileExistsError):
    """An output path that already exists and will not be overwritten."""


class TextError(PanoLLaVaError, ValueError):
    """A question or answer that a model cannot read: too long, or not valid Unicode."""


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


class ModelError(PanoLLaVaError, OSError, ValueError):
    """A checkpoint folder or Hub model that cannot be loaded: missing, damaged, incomplete, or of another kind."""


class ChatError(PanoLLaVaError, RuntimeError):
    """A model or endpoint that did not answer: unreachable, refused, cut off, or without images. No key is in it.

    Attributes:
        scope: What failed: "request", this request only; "unavailable", the server is overloaded or failing, also after
            waiting; "unreachable", no connection to the server; "endpoint", every request, such as a refused key.
    """

    scope: Literal["request", "unavailable", "unreachable", "endpoint"] = "request"


class ViewSettingError(PanoLLaVaError, ValueError):
    """A plan, size or label of views that cannot be used."""


class CheckpointError(PanoLLaVaError, ValueError):
    """A checkpoint of the original code that cannot be converted."""


class JobError(PanoLLaVaError, RuntimeError):
    """A job on many panoramas that cannot start, continue or write its results."""


class ExportError(PanoLLaVaError, ValueError):
    """A checkpoint, code or results file that cannot be exported."""


class PushError(PanoLLaVaError):
    """A folder or repository name that cannot be pushed, or a push that failed. The message contains no token."""


@contextmanager
def boundary(kind: type[PanoLLaVaError], problem: str, remedy: str) -> Iterator[None]:
    """Raise whatever another library raises in a block as our error; our own errors pass unchanged.

    safetensors, tokenizers, jinja2, datasets and zipfile raise many kinds of exceptions on damaged input, so these are
    not listed. Keep the block to the call of that library, so that our own bugs keep their traceback.

    Args:
        kind: The class of the error.
        problem: What is wrong, beginning with the name of the file.
        remedy: What the user can do.

    Raises:
        PanoLLaVaError: `problem (cause); remedy`, of the given class.
    """
    try:
        yield
    except PanoLLaVaError:
        raise
    except BaseException as error:
        # A panic of the tokenizers library is not an `Exception`, and its class cannot be imported.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise kind(f"{problem} ({one_line(error)}); {remedy}") from error


def reason(error: BaseException) -> str:
    """Why the system refused a file, without its path, which the message has already; else the exception's own text."""
    return getattr(error, "strerror", None) or one_line(error)


def one_line(error: BaseException) -> str:
    """The text of an exception as one line of bounded length; its class where it has none."""
    text = " ".join(str(error)[: 4 * _MAX_CAUSE].split()) or type(error).__name__
    return text if len(text) <= _MAX_CAUSE else text[: _MAX_CAUSE - 1] + "…"

"""Run the command line in the worker, and check what every command promises."""

import os
from collections.abc import Callable

from tools.attack._kinds import Noise, Refused

#: Exit codes of a question to the embedded checkpoint: an answer, or a report of what it does not know.
ASKED = (0, 3)


def command(arguments: list[str], *, codes: tuple[int, ...] = (0,), secret: str | None = None) -> None:
    """Run `panollava` with these arguments.

    Raises:
        Refused: It ended with exit code 2 and one line on stderr; lines that begin with `Note:` may come before it.
        Noise: It printed something else, or ended with another exit code.
    """
    from panollava_hf.cli import run

    _check("panollava", lambda: run(arguments), codes, secret)


def geometry_command(arguments: list[str]) -> None:
    """Run `panollava-geometry` with these arguments; it promises the same as `command`."""
    from panollava_geometry.cli import app, run_app

    _check("panollava-geometry", lambda: run_app(app, arguments, program="panollava-geometry"), (0,), None)


def _check(program: str, run: Callable[[], int], codes: tuple[int, ...], secret: str | None) -> None:
    for number in (1, 2):
        os.ftruncate(number, 0)
    code = run()
    printed = os.pread(2, 100_000, 0).decode(errors="backslashreplace")
    lines = [line for line in printed.splitlines() if line.strip()]
    if secret is not None and secret in printed + os.pread(1, 100_000, 0).decode(errors="backslashreplace"):
        raise Refused(printed)  # the pool looks for the secret in this text
    if code in codes:
        return
    # libtiff writes to stderr itself, and Pillow has no switch for that
    errors = [line for line in lines if not line.startswith(("Note:", "TIFF"))]
    if code != 2 or len(errors) != 1 or not errors[0].startswith(f"{program}: "):
        raise Noise(f"exit code {code}, {len(lines)} lines on stderr: {' / '.join(errors)[:250]}")
    raise Refused(errors[0])

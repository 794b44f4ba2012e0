"""The tests of transformers' suites that cannot apply to our classes, each with its reason.

Every key is a test's name, or the class of our adapters and the name. A test that fails for a fault of ours is not
listed here: it is repaired.
"""

__all__ = ["SKIPS", "reason"]

SKIPS: dict[str, str] = {}


def reason(classes, test):
    """Why a test of a class with these bases is skipped, or None."""
    for cls in classes:
        if (why := SKIPS.get(f"{cls.__name__}.{test}")) is not None:
            return why
    return SKIPS.get(test)

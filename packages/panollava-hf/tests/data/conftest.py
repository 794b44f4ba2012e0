import pytest


@pytest.fixture(scope="session")
def shapes(training_scenes):
    return training_scenes


@pytest.fixture(autouse=True)
def _caches(datasets_cache):
    """`datasets` caches tables in a temporary folder."""


@pytest.fixture(scope="session")
def rows_or_one_error():
    """A check of a table that may be damaged: it gives usable rows or one error of one line, also with `skip_bad`."""
    from panollava_hf._errors import TableError
    from panollava_hf.data import read_examples

    def check(path):
        for skip_bad in (False, True):
            message, found = "", ()
            try:
                found = read_examples(path, skip_bad=skip_bad)
            except TableError as error:
                message = str(error)
            assert "\n" not in message
            assert all(example.question.strip() and example.answer.strip() for example in found)

    return check

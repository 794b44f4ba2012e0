"""transformers' own suites on our classes; run by `nox -s suites`, ignored by `nox -s tests`.

`TRANSFORMERS_TESTS` names the folder that holds transformers' `tests`. Modules that a release does not publish are
stood in for by empty classes, so that the suites that import them can be read.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = os.environ.get("TRANSFORMERS_TESTS")
if FOLDER is None:
    collect_ignore_glob = ["*"]
else:
    sys.path[:0] = [FOLDER, str(Path(__file__).parent)]
    import stand_ins

    stand_ins.install(Path(FOLDER))


def pytest_collection_modifyitems(items):
    if FOLDER is None:
        return
    from skips import reason

    for item in items:
        found = reason(item.cls.__mro__ if item.cls else (), getattr(item, "originalname", item.name))
        if found is not None:
            item.add_marker(pytest.mark.skip(reason=found))


def pytest_terminal_summary(terminalreporter):
    """One line for each suite and variant, for the table in docs/hub.md."""
    if FOLDER is None:
        return
    import stand_ins

    counts = Counter()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if report.when == "call" or outcome in ("error", "skipped"):
                counts[report.nodeid.partition("::")[2].partition("::")[0] or report.nodeid, outcome] += 1
    terminalreporter.section("suites: passed / failed / skipped")
    for suite in dict.fromkeys(name for name, _ in counts):
        failed = counts[suite, "failed"] + counts[suite, "error"]
        terminalreporter.write_line(f"{suite}: {counts[suite, 'passed']} / {failed} / {counts[suite, 'skipped']}")
    for module, contract in stand_ins.absent():
        terminalreporter.write_line(f"not published with this release: {module}; {contract}")

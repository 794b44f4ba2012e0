"""The public surface, and what importing it costs and brings along."""

import subprocess
import sys

import panollava_losses
import pytest
import torch

NAMES = {
    "Correspondences",
    "GroupedCorrespondences",
    "OverlapInfoNCELoss",
    "OverlapVICRegLoss",
    "VICRegLoss",
    "VICRegProjector",
    "VICRegTerms",
    "column_correspondences",
    "group_correspondences",
    "info_nce",
    "vicreg",
    "vicreg_covariance",
    "vicreg_invariance",
    "vicreg_variance",
}


def test_inventory():
    assert set(panollava_losses.__all__) == NAMES
    assert panollava_losses.__all__ == sorted(panollava_losses.__all__)
    assert all(getattr(panollava_losses, name).__doc__ for name in NAMES)


def test_import_is_quiet_and_brings_only_jaxtyping():
    code = (
        "import torch, jaxtyping, sys; before = set(sys.modules); import panollava_losses; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "heavy = new - {'panollava_losses'} - set(sys.stdlib_module_names); "
        "compiler = {m for m in sys.modules if m.startswith(('torch._dynamo', 'torch._inductor'))}; "
        "sys.exit(f'{heavy} {compiler}' if heavy or compiler else 0)"
    )
    # Without numpy, torch itself warns when it is imported.
    warnings = ["-W", "error", "-W", "ignore:Failed to initialize NumPy:UserWarning"]
    done = subprocess.run([sys.executable, *warnings, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_shapes_are_checked_under_test():
    """The canary: without the checker behind pytest's --jaxtyping-packages no annotation is looked at."""
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        panollava_losses.vicreg(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5))

"""Checks of tables before training and evaluation: `panollava data check`."""

from panollava_hf.checking._check import Options, check_data
from panollava_hf.checking._report import Report

__all__ = ["Options", "Report", "check_data"]

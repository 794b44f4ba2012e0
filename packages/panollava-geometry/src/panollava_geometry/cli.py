"""The console script `panollava-geometry`. Its command `crop` and `run_app` are for use in other programs, too.

Importing this module does not import torch, numpy or Pillow.
"""

import sys
from importlib.util import find_spec

if find_spec("typer") is None or find_spec("rich") is None:
    print(
        "panollava-geometry: the command line needs typer and rich: pip install 'panollava-geometry[cli]'",
        file=sys.stderr,
    )
    raise SystemExit(2)

from panollava_geometry._commands._command_line import echo, error_line, run_app
from panollava_geometry._commands._crop_command import (
    FormatOption,
    FovOption,
    ImageFormat,
    NumRingsOption,
    NumViewsOption,
    OutputOption,
    OverlapOption,
    PitchRangeOption,
    PlanOption,
    SizeOption,
    StrategyOption,
    app,
    crop,
    crop_plan,
)
from panollava_geometry._commands._info_command import info
from panollava_geometry._commands._interrupts import Interrupted, exit_program, on_interrupt
from panollava_geometry._commands._load_options import (
    Eye,
    EyeOption,
    HFovOption,
    PartialOption,
    Pose,
    PoseOption,
    WholeSphereOption,
    load_options,
)
from panollava_geometry._commands._output_folder import check_writable
from panollava_geometry._planning._strategy_names import Strategy
from panollava_geometry._printable import printable

__all__ = [
    "Eye",
    "EyeOption",
    "FormatOption",
    "FovOption",
    "HFovOption",
    "ImageFormat",
    "Interrupted",
    "NumRingsOption",
    "NumViewsOption",
    "OutputOption",
    "OverlapOption",
    "PartialOption",
    "PitchRangeOption",
    "PlanOption",
    "Pose",
    "PoseOption",
    "SizeOption",
    "Strategy",
    "StrategyOption",
    "WholeSphereOption",
    "app",
    "check_writable",
    "crop",
    "crop_plan",
    "echo",
    "error_line",
    "exit_program",
    "info",
    "load_options",
    "main",
    "on_interrupt",
    "printable",
    "run_app",
]


def main() -> None:
    """Run the command line."""
    exit_program(run_app(app, program="panollava-geometry"))


if __name__ == "__main__":
    main()

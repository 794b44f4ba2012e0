"""Names of the options that several functions share."""

from typing import Literal

Interpolation = Literal["bilinear", "nearest"]
Backend = Literal["auto", "torch", "opencv", "py360convert"]

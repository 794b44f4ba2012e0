"""The names of the strategies of `plan_views`. The command line reads them without importing numpy."""

from enum import StrEnum


class Strategy(StrEnum):
    """A way to divide a panorama into views. `plan_views` explains each of them."""

    anyres_e2p = "anyres_e2p"
    e2p = "e2p"
    cubemap = "cubemap"
    sliding_window = "sliding_window"
    anyres = "anyres"
    anyres_max = "anyres_max"
    resize = "resize"

"""Deprecated: import these names from `panollava_hf`."""

from panollava_hf._deprecated import renamed

__getattr__ = renamed(__name__, {name: f"panollava_hf.{name}" for name in ("Answer", "Answerer", "default_checkpoint")})

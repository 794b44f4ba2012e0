"""Which parts of the sphere an answer rests on."""

from panollava_hf.evidence._evidence import Evidence
from panollava_hf.evidence._explain import METHODS, explain, explain_cost

__all__ = ["METHODS", "Evidence", "explain", "explain_cost"]

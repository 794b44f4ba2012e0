"""The metrics of an evaluation, one file each.

A metric is a function of all questions and the predictions. It returns a `MetricResult`, or None if the data has
nothing for it. A caption score is a function of tokenised captions and their references. Both are registered by name:

    METRICS["answer_length"] = answer_length
    CAPTION_SCORES["length_ratio"] = CaptionScore("length ratio", length_ratio)
"""

from collections.abc import Callable

from panollava_hf.evaluation._questions import Predictions, Questions
from panollava_hf.evaluation._results import MetricResult
from panollava_hf.evaluation.metrics._captions import CAPTION_SCORES, CaptionScore, captions
from panollava_hf.evaluation.metrics._choices import choices
from panollava_hf.evaluation.metrics._directions import directions
from panollava_hf.evaluation.metrics._exact_match import exact_match
from panollava_hf.evaluation.metrics._free_answers import free_answers
from panollava_hf.evaluation.metrics._places import places
from panollava_hf.evaluation.metrics._unknown import unknown
from panollava_hf.evaluation.metrics._without_image import answer_prior

__all__ = ["CAPTION_SCORES", "METRICS", "CaptionScore", "MetricResult"]

#: All metrics by their name in `results.json`, in its order. The metrics of probes come with their passes.
METRICS: dict[str, Callable[[Questions, Predictions], MetricResult | None]] = {
    "exact_match": exact_match,
    "free_answers": free_answers,
    "captions": captions,
    "directions": directions,
    "answer_prior": answer_prior,
    "places": places,
    "choices": choices,
    "unknown": unknown,
}

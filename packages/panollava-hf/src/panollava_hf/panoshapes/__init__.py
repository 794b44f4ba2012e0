"""PanoShapes: a procedural benchmark of questions about 360° panoramas, with exact answers.

Scenes are sampled, drawn and asked about from a seed alone; questions turn with the panorama.
"""

from panollava_hf._errors import PanoShapesError
from panollava_hf.panoshapes._ask import Question, questions, rotate_question
from panollava_hf.panoshapes._programs import answer, aside
from panollava_hf.panoshapes._render import render_ids, render_scene, visible_shares
from panollava_hf.panoshapes._sample import sample_scene
from panollava_hf.panoshapes._scene import Ground, Scene, SceneObject, Sky
from panollava_hf.panoshapes._summary import FamilySummary, summarise
from panollava_hf.panoshapes._vocabulary import COLOURS, DIRECTIONS, FAMILIES, SHAPES, SPLITS
from panollava_hf.panoshapes._wording import wordings
from panollava_hf.panoshapes._write import write_panoshapes

__all__ = [
    "COLOURS",
    "DIRECTIONS",
    "FAMILIES",
    "SHAPES",
    "SPLITS",
    "FamilySummary",
    "Ground",
    "PanoShapesError",
    "Question",
    "Scene",
    "SceneObject",
    "Sky",
    "answer",
    "aside",
    "questions",
    "render_ids",
    "render_scene",
    "rotate_question",
    "sample_scene",
    "summarise",
    "visible_shares",
    "wordings",
    "write_panoshapes",
]

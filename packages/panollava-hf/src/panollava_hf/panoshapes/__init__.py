"""PanoShapes: rendered 360° panoramas of simple solids, and questions about them with exact answers.

Scenes, images and questions depend on a seed only. Questions rotate with their panorama. A new family of questions is a
`panollava_hf.panoshapes.families.Family`.
"""

from panollava_hf.panoshapes._dataset import read_scenes, write_panoshapes
from panollava_hf.panoshapes._questions import Place, Question, answer, questions
from panollava_hf.panoshapes._render import render_scene
from panollava_hf.panoshapes._rotation import rotate_question, scene_rotation
from panollava_hf.panoshapes._sampling import sample_scene
from panollava_hf.panoshapes._scene import COLOURS, DIRECTIONS, SHAPES, Scene

__all__ = [
    "COLOURS",
    "DIRECTIONS",
    "SHAPES",
    "Place",
    "Question",
    "Scene",
    "answer",
    "questions",
    "read_scenes",
    "render_scene",
    "rotate_question",
    "sample_scene",
    "scene_rotation",
    "write_panoshapes",
]

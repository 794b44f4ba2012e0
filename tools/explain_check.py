"""Whether the evidence for an answer lies on the object that the question is about.

`python -m tools.explain_check [--scenes 100] [--seed 0] [--method gradient]` renders PanoShapes scenes with an object
whose shape is unique, asks the embedded checkpoint "What colour is the …?", and prints how much of the map lies within
20° of that object, compared with a uniform map (1). It ends with exit code 1 if the mean is below 3.

Three more figures say whether the map means something:

- `others`: the same for the other objects of the scene that are at least 40° away. A detector of objects would give
  about the same figure as for the object asked about.
- `blurred`: how often the answer changes after the part within 20° of the map's peak is blurred, and after an equal
  part in the opposite direction is.
- `--random-weights`: the trained weights are shuffled within each tensor, and the right colour is explained. The map
  must not prefer the object asked about to the others: the exit code is 1 if its figure is twice that of `others`.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterator

import torch
from panollava_hf.asking import Answerer
from panollava_hf.evidence import METHODS, Evidence, explain
from panollava_hf.evidence._baseline import blurred_where
from panollava_hf.evidence._sphere import angles_deg, caps, directions, map_rays
from panollava_hf.panoshapes import SHAPES, Scene, render_scene, sample_scene
from panollava_hf.panoshapes._scene import SceneObject

#: The radius around the object, its share of the sphere, and the mean that is expected at least.
RADIUS_DEG, EXPECTED = 20.0, 3.0
UNIFORM = (1 - math.cos(math.radians(RADIUS_DEG))) / 2


def cases(seed: int) -> Iterator[tuple[Scene, SceneObject]]:
    """Scenes of the test split, each with an object whose shape no other object of the scene has."""
    index = 0
    while True:
        scene = sample_scene(seed, "test", index)
        found = [item for shape in SHAPES if (item := scene.only(shape=shape)) is not None]
        if found:
            yield scene, found[index % len(found)]
        index += 1


def ray(item: SceneObject) -> torch.Tensor:
    """The direction of an object, `[3]`."""
    return directions(torch.tensor(item.yaw_deg), torch.tensor(item.pitch_deg))


def gain(evidence: Evidence, item: SceneObject) -> float:
    """The share of the map near an object, divided by that of a uniform map."""
    return evidence.mass(item.yaw_deg, item.pitch_deg, RADIUS_DEG) / UNIFORM


def far_from(scene: Scene, item: SceneObject) -> list[SceneObject]:
    """The objects that are at least two radii away from one."""
    limit = math.cos(math.radians(2 * RADIUS_DEG))
    return [other for other in scene.objects if float(ray(other) @ ray(item)) < limit]


def changes(answerer: Answerer, panorama: torch.Tensor, evidence: Evidence) -> tuple[bool, bool]:
    """Whether the answer changes when the surroundings of the peak are blurred, and those of its opposite."""
    prepared = answerer.prepare(panorama)
    peak = directions(*map(torch.tensor, evidence.peak))
    found = []
    for centre in (peak, -peak):
        mask = caps(angles_deg(map_rays(256), centre[None])[0], RADIUS_DEG, 2.0)
        found.append(
            answerer.answer(blurred_where(prepared, mask), evidence.question, max_new_tokens=8).text != evidence.answer
        )
    return found[0], found[1]


def main() -> int:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", choices=METHODS, default=METHODS[0])
    parser.add_argument("--width", type=int, default=1024, help="width of the panoramas in pixels")
    parser.add_argument("--random-weights", action="store_true", help="shuffle the weights")
    given = parser.parse_args()
    answerer = Answerer.load("embedded")
    if given.random_weights:
        torch.manual_seed(given.seed)
        for parameter in answerer.model.parameters():
            parameter.data = parameter.data.flatten()[torch.randperm(parameter.numel())].view_as(parameter)
    gains: list[float] = []
    others: list[float] = []
    blurred: list[tuple[bool, bool]] = []
    seconds: list[float] = []
    right = 0
    for _, (scene, item) in zip(range(given.scenes), cases(given.seed), strict=False):
        panorama = torch.from_numpy(render_scene(scene, given.width)).permute(2, 0, 1)
        question = f"What colour is the {item.shape}?"
        answer = item.colour if given.random_weights else None
        evidence = explain(
            answerer, answerer.prepare(panorama), question, answer, method=given.method, max_new_tokens=8
        )
        right += evidence.answer == item.colour
        gains.append(gain(evidence, item))
        others += [gain(evidence, other) for other in far_from(scene, item)]
        if not given.random_weights:
            blurred.append(changes(answerer, panorama, evidence))
        seconds.append(evidence.seconds)
    mean = statistics.mean(gains)
    quarter = sorted(gains)[len(gains) // 4]
    of = "shuffled weights" if given.random_weights else f"{right} answers right"
    print(f"{given.scenes} scenes, seed {given.seed}, method {given.method}: {of}")
    print(
        f"map within {RADIUS_DEG:g}° of the object asked about: {mean:.2f} times a uniform map (lower quartile "
        f"{quarter:.2f}, least {min(gains):.2f}, below {EXPECTED:g} in {sum(g < EXPECTED for g in gains)} scenes)"
    )
    print(f"others: {statistics.mean(others) if others else math.nan:.2f} times, over {len(others)} objects")
    if blurred:
        at, away = (sum(pair[index] for pair in blurred) for index in (0, 1))
        print(f"blurred: the answer changes in {at} scenes at the peak, in {away} in the opposite direction")
    print(f"seconds for each question: median {statistics.median(seconds):.2f}, most {max(seconds):.2f}")
    if given.random_weights:
        return int(mean >= 2 * statistics.mean(others))
    return int(mean < EXPECTED)


if __name__ == "__main__":
    sys.exit(main())

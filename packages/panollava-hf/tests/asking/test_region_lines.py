import time

import pytest
from panollava_hf.asking._directions import SECTORS
from panollava_hf.asking.strategies._region_lines import read_regions


def read(text, most=3):
    return [(region.yaw_deg, region.pitch_deg, region.width_deg) for region in read_regions(text, most)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yaw -45, pitch 10, width 40", [(-45, 10, 40)]),
        ("1. Yaw: 45°, Pitch: −10°, Width: 60°\n2. yaw 180 pitch 0", [(45, -10, 60), (180, 0, 50)]),
        ("- **yaw** = 270, pitch = +5 (the red door)", [(-90, 5, 50)]),
        ("(-45, 10, 40)\n[90, 0]", [(-45, 10, 40), (90, 0, 50)]),
        ("-45, 10, 40", [(-45, 10, 40)]),
        ("1. -45, 10\n2) 120, -20, 35: the sign", [(-45, 10, 50), (120, -20, 35)]),
        ("yaw -45, pitch 10; yaw 60, pitch 5, width 30", [(-45, 10, 50), (60, 5, 30)]),
        ('[{"yaw": 12.5, "pitch": -3, "width": 33}, {"pitch": 4, "yaw": -100}]', [(12.5, -3, 33), (-100, 4, 50)]),
        ('```json\n{"regions": [{"yaw": 30, "pitch": 0}]}\n```', [(30, 0, 50)]),
        ("behind to the left (yaw -135°, pitch 0°)", [(-135, 0, 50)]),
        ("Behind to the left", [(-135, 0, 50)]),
        ("* right, upwards\n* below", [(90, 35, 50), (0, -90, 50)]),
        ("Look at the ceiling, width 80 degrees.", [(0, 90, 80)]),
        ("Region 1: yaw 5, pitch 0, width 5\nRegion 2: yaw 100, pitch 0, fov 170", [(5, 0, 30), (100, 0, 90)]),
        ("yaw 10, pitch 0\nyaw 12, pitch 1\nyaw 370, pitch 0", [(10, 0, 50)]),  # nearly the same; more than a turn
        ("yaw 179, pitch 0\nyaw -179, pitch 0", [(179, 0, 50)]),
        ("yaw 640, pitch 200", []),  # pixels
        ("none", []),
        ("None of the regions to the left is needed.", []),
        ("", []),
        ("I cannot see that.", []),
        ("NaN, inf, 1e9", []),
    ],
)
def test_regions_are_read_leniently(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize("sector", range(8))
def test_words_of_labels_are_read_as_their_directions(sector):
    ((yaw, pitch, _),) = read(SECTORS[sector])
    assert (yaw % 360, pitch) == (45 * sector, 0)


def test_no_more_than_asked_for():
    assert len(read("\n".join(f"yaw {yaw}" for yaw in range(0, 360, 20)), most=5)) == 5


@pytest.mark.parametrize("piece", ["yaw ", "1. ", "{", "- ", "9 ", "yaw 1,", "\n", "left ", "( ", "region 1 "])
def test_long_replies_take_no_time(piece):
    start = time.perf_counter()
    read_regions(piece * 100_000, 3)
    assert time.perf_counter() - start < 5

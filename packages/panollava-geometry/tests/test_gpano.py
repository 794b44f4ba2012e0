"""Partial panoramas with GPano metadata."""

import numpy as np
import pytest
import torch
from panollava_geometry import PanoramaError, extract_views, load_equirectangular, load_views, plan_views
from PIL.PngImagePlugin import PngInfo


def xmp(**fields):
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in fields.items())
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {attributes}/></x:xmpmeta>'.encode()


def area(full, size, left, top, **more):
    return xmp(
        FullPanoWidthPixels=full[0],
        FullPanoHeightPixels=full[1],
        CroppedAreaImageWidthPixels=size[0],
        CroppedAreaImageHeightPixels=size[1],
        CroppedAreaLeftPixels=left,
        CroppedAreaTopPixels=top,
        **more,
    )


def png_xmp():
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", area((2048, 1024), (1024, 512), 512, 256).decode())
    return info


def test_a_partial_panorama_is_placed_on_the_sphere(rgb_array, encoded):
    part = np.ascontiguousarray(rgb_array[256:768, 512:1536])
    for kind, limit in (("PNG", 0), ("JPEG", 12)):
        info = {"xmp": area((2048, 1024), (1024, 512), 512, 256)} if kind == "JPEG" else {"pnginfo": png_xmp()}
        loaded, mask = load_equirectangular(encoded(part, kind, **info), return_mask=True)
        assert loaded.shape == (3, 1024, 2048)
        inside = loaded[:, 256:768, 512:1536].int()
        assert (inside - torch.from_numpy(part).permute(2, 0, 1).int()).abs().max() <= limit
        assert mask.sum() == 512 * 1024
        assert mask[256:768, 512:1536].all()
        assert not loaded[:, :256].any()


def test_the_area_scales_with_the_decode(rgb_array, encoded):
    part = np.ascontiguousarray(rgb_array[256:768, 512:1536])
    data = encoded(part, "JPEG", xmp=area((2048, 1024), (1024, 512), 512, 256))
    views, seen = load_views(data, plan_views("cubemap"), 24, return_mask=True)
    assert seen[0, 1:-1, 1:-1].all()
    assert not seen[2].any()
    assert not seen[4, 8:16, 8:16].any()
    full = extract_views(torch.from_numpy(rgb_array).permute(2, 0, 1), plan_views("cubemap"), 24)
    assert (views[0, :, 2:-2, 2:-2].int() - full[0, :, 2:-2, 2:-2].int()).abs().max() <= 8


def test_an_area_of_the_full_sphere_changes_nothing(rgb_array, encoded):
    small = np.ascontiguousarray(rgb_array[::8, ::8])
    data = encoded(small, "JPEG", xmp=area((256, 128), (256, 128), 0, 0), quality=95)
    assert torch.equal(load_equirectangular(data), load_equirectangular(encoded(small, "JPEG", quality=95)))


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (area((64, 32), (64, 32), 40, 0), "contradict each other"),
        (area((64, 20), (32, 16), 0, 0), "contradict each other"),
        (area((64, 32), ("many", 16), 0, 0), "not numbers"),
        (area((64, 32), (32, 32), 0, 0), "GPano metadata says 32x32"),
        (area((2 * 10**6, 10**6), (32, 16), 0, 0), "too large"),
        (area((64, 32), (32, 16), 0, 0, ProjectionType="cylindrical"), "projection is 'cylindrical'"),
    ],
)
def test_invalid_metadata(encoded, packet, message):
    with pytest.raises(PanoramaError, match=message):
        load_equirectangular(encoded(np.zeros((16, 32, 3), np.uint8), "JPEG", xmp=packet))

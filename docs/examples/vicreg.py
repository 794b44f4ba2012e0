"""Example 3: train the vision side on the overlaps of neighbouring views (stage one), then use it for features.

    python docs/examples/vicreg.py [STEPS]

A few steps on the sample panorama, rotated by a random yaw in each step; runs offline in seconds.
"""

import sys
from pathlib import Path

import torch
from panollava_geometry import load_equirectangular, rotate_equirectangular
from panollava_hf import PanoLLaVaForVICReg, PanoLLaVaImageProcessor, default_checkpoint

CHECKPOINT = default_checkpoint()
SAMPLE = Path(__file__).resolve().parents[1] / "assets" / "sample-panorama.jpg"


def main(steps: str = "8") -> list[float]:
    """Print the loss of every step."""
    torch.manual_seed(0)
    processor = PanoLLaVaImageProcessor.from_pretrained(CHECKPOINT)
    model = PanoLLaVaForVICReg.from_pretrained(CHECKPOINT).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    panorama = load_equirectangular(str(SAMPLE), max_width=1024)

    losses = []
    for step in range(int(steps)):
        turned = [rotate_equirectangular(panorama, yaw_deg=float(yaw)) for yaw in torch.rand(2) * 360]
        pixel_values = processor(turned, return_tensors="pt")["pixel_values"]
        output = model(pixel_values=pixel_values)
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
        losses.append(output.loss.item())
        print(
            f"step {step}: loss {losses[-1]:.3f} (invariance {output.invariance:.3f}, variance {output.variance:.3f})"
        )

    extractor = model.eval().to_feature_extractor(pooling="mean")  # the VICReg projector stays behind
    with torch.no_grad():
        print("features", tuple(extractor(pixel_values=pixel_values).features.shape))
    return losses


if __name__ == "__main__":
    main(*sys.argv[1:])

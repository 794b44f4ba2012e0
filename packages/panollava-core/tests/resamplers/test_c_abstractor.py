"""`c_abstractor` against its formula, with the 3x3 convolution written as a sum over neighbours."""

import torch
from torch.nn.functional import pad, silu


def conv_block(block, image):
    """A RegNet block with squeeze-and-excitation on `[N, H, W, D]`."""
    hidden = pad(silu(block.enter_norm(block.enter(image))), (0, 0, 1, 1, 1, 1))
    rows, columns = image.shape[1:3]
    around = sum(
        hidden[:, down : down + rows, right : right + columns] * block.around.weight[:, 0, down, right]
        for down in range(3)
        for right in range(3)
    )
    hidden = silu(block.around_norm(around))
    gate = torch.sigmoid(block.excite(silu(block.squeeze(hidden.mean(dim=(1, 2), keepdim=True)))))
    return silu(image + block.leave_norm(block.leave(hidden * gate)))


def test_blocks_pooling_blocks(build, tokens, exact):
    resampler, views = build("c_abstractor"), tokens(dtype=torch.float64)
    image = resampler.input_proj(views).view(3, 4, 6, 16)
    for block in resampler.before:
        image = conv_block(block, image)
    image = image.view(3, 2, 2, 3, 2, 16).mean(dim=(2, 4))
    for block in resampler.after:
        image = conv_block(block, image)
    exact(resampler(views, grid=(4, 6)), resampler.readout(image).flatten(1, 2))

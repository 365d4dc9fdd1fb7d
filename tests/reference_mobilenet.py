"""An independent statement of the official ECA-MobileNetV2, in plain torch.

Written from the MobileNetV2 paper (arXiv 1801.04381, table 2) and the format notes, as
functions of a state dict under the official names; shares no code with the package or mmdet.
"""

import torch
import torch.nn.functional as F
from reference import batch_norm, eca_fast

# width, stride of the block's depthwise convolution, expansion, ECA kernel size
BLOCKS = (
    (16, 1, 1, 1),
    (24, 2, 6, 1), (24, 1, 6, 1),
    (32, 2, 6, 1), (32, 1, 6, 1), (32, 1, 6, 1),
    (64, 2, 6, 1), (64, 1, 6, 1), (64, 1, 6, 1), (64, 1, 6, 1),
    (96, 1, 6, 3), (96, 1, 6, 3), (96, 1, 6, 3),
    (160, 2, 6, 3), (160, 1, 6, 3), (160, 1, 6, 3),
    (320, 1, 6, 3),
)  # fmt: skip
LAST_OF_STAGE = (1, 3, 6, 10, 13, 16, 17, 18)  # index in `features` after which mmdet's outputs 0 to 7 come


def names(block, flat=False):
    """Names of a block's (convolution, norm) pairs and of its ECA weight."""
    expanded = BLOCKS[block - 1][2] != 1
    if flat:
        pairs = [('0', '1'), ('3', '4'), ('6', '7')] if expanded else [('0', '1'), ('3', '4')]
        last = '8' if expanded else '5'
    else:
        pairs = [('0.0', '0.1'), ('1.0', '1.1'), ('2', '3')] if expanded else [('0.0', '0.1'), ('1', '2')]
        last = '4' if expanded else '3'
    prefix = f'features.{block}.conv.'
    return [(prefix + a, prefix + b) for a, b in pairs], f'{prefix}{last}.conv.weight'


def relu6(x):
    return x.clamp(0, 6)


def features(w, x):
    """Outputs after each stage and after the last convolution, in evaluation mode."""
    x = F.conv2d(x, w['features.0.0.weight'], stride=2, padding=1)
    x = relu6(batch_norm(x, w, 'features.0.1'))
    outputs = {}
    for block, (_, stride, _, _) in enumerate(BLOCKS, 1):
        x = outputs[block] = inverted_residual(w, x, block, stride)
    x = F.conv2d(x, w['features.18.0.weight'])
    outputs[18] = relu6(batch_norm(x, w, 'features.18.1'))
    return [outputs[index] for index in LAST_OF_STAGE]


def inverted_residual(w, x, block, stride):
    (*expand, (depth_conv, depth_norm), (conv, norm)), eca = names(block)
    out = x
    for name, norm_name in expand:
        out = relu6(batch_norm(F.conv2d(out, w[f'{name}.weight']), w, norm_name))
    weight = w[f'{depth_conv}.weight']
    out = F.conv2d(out, weight, stride=stride, padding=1, groups=weight.shape[0])
    out = relu6(batch_norm(out, w, depth_norm))
    out = eca_fast(batch_norm(F.conv2d(out, w[f'{conv}.weight']), w, norm), w[eca])
    return out + x if stride == 1 and out.shape == x.shape else out


def official_state_dict(sizes=None, dtype=torch.float32, prefix='module.', flat=False):
    """Random weights under the official names, in the order of the network, classifier included.

    ``sizes`` are the ECA kernel sizes of the 17 blocks.
    """
    generator = torch.Generator().manual_seed(2)
    w = {}

    def unit(conv, norm, *shape):
        fan = shape[1] * shape[2] * shape[3]
        w[f'{conv}.weight'] = torch.randn(*shape, generator=generator, dtype=dtype) * (2 / fan) ** 0.5
        for key, low in (('weight', 0.5), ('bias', -0.5), ('running_mean', -0.5), ('running_var', 0.5)):
            w[f'{norm}.{key}'] = torch.rand(shape[0], generator=generator, dtype=dtype) + low
        w[f'{norm}.num_batches_tracked'] = torch.tensor(5)

    unit('features.0.0', 'features.0.1', 32, 3, 3, 3)
    inner = 32
    for block, (width, _, expansion, size) in enumerate(BLOCKS, 1):
        (*expand, depthwise, projection), eca = names(block, flat)
        hidden = inner * expansion
        for pair in expand:
            unit(*pair, hidden, inner, 1, 1)
        unit(*depthwise, hidden, 1, 3, 3)
        unit(*projection, width, hidden, 1, 1)
        size = sizes[block - 1] if sizes else size
        w[eca] = torch.randn(1, 1, size, generator=generator, dtype=dtype)
        inner = width
    unit('features.18.0', 'features.18.1', 1280, inner, 1, 1)
    w['classifier.1.weight'] = torch.randn(1000, 1280, generator=generator, dtype=dtype)
    w['classifier.1.bias'] = torch.randn(1000, generator=generator, dtype=dtype)
    return {prefix + key: value for key, value in w.items()}


def official_checkpoint(**options):
    """The whole file as ECANet's training script wrote it."""
    return dict(
        epoch=400,
        arch='eca_mobilenet_v2',
        state_dict=official_state_dict(**options),
        best_prec1=torch.tensor(72.56),
        optimizer=dict(state={}, param_groups=[dict(lr=0.045)]),
    )

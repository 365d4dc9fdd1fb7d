"""Reference implementations of ECA and of the official ECA-ResNet in plain torch.

They are functions of a state_dict, follow the paper and the format of the released weights, and share no code
with the package or mmdet.
"""

import torch
import torch.nn.functional as F

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
SIZES = {18: (3, 5, 7, 7), 34: (3, 3, 5, 7), 50: (3, 5, 5, 7), 101: (3, 3, 5, 7), 152: (3, 3, 5, 7)}


def eca(x, weight):
    """Apply eq. 9 of the paper channel by channel: w_c = sigmoid(sum_j a_j y_(c + j - k // 2))."""
    n, channels = x.shape[:2]
    descriptor = x.sum((2, 3)) / (x.shape[2] * x.shape[3])
    coefficients = weight.flatten()
    reach = len(coefficients) // 2
    gates = []
    for c in range(channels):
        total = torch.zeros(n, dtype=x.dtype)
        for j, coefficient in enumerate(coefficients):
            neighbour = c + j - reach
            if 0 <= neighbour < channels:
                total = total + coefficient * descriptor[:, neighbour]
        gates.append(1 / (1 + torch.exp(-total)))
    return x * torch.stack(gates, 1)[:, :, None, None]


def eca_fast(x, weight):
    """Compute the same as ``eca`` with a banded matrix, which is fast enough for whole networks."""
    channels, size = x.shape[1], weight.numel()
    band = torch.zeros(channels, channels, dtype=x.dtype)
    for j in range(size):
        offset = j - size // 2
        band += torch.diag(weight.flatten()[j].expand(channels - abs(offset)), offset)
    return x * (x.flatten(2).mean(2) @ band.T).sigmoid()[:, :, None, None]


def batch_norm(x, w, name):
    return F.batch_norm(
        x, w[f'{name}.running_mean'], w[f'{name}.running_var'], w[f'{name}.weight'], w[f'{name}.bias']
    )


def features(w, x, depth):
    """Compute the features after each stage of the official network in evaluation mode."""
    x = F.relu(batch_norm(F.conv2d(x, w['conv1.weight'], stride=2, padding=3), w, 'bn1'))
    x = F.max_pool2d(x, 3, 2, 1)
    outputs = []
    for stage, blocks in enumerate(LAYERS[depth]):
        for block in range(blocks):
            name = f'layer{stage + 1}.{block}'
            stride = 2 if stage and not block else 1
            x = residual(w, x, name, stride, depth)
        outputs.append(x)
    return outputs


def residual(w, x, name, stride, depth):
    """Compute a residual block."""
    bottleneck, basic = ((1, 1, 0), (2, stride, 1), (3, 1, 0)), ((1, stride, 1), (2, 1, 1))
    convolutions = bottleneck if depth >= 50 else basic
    out = x
    for index, conv_stride, padding in convolutions:
        if index > 1:
            out = F.relu(out)
        out = F.conv2d(out, w[f'{name}.conv{index}.weight'], stride=conv_stride, padding=padding)
        out = batch_norm(out, w, f'{name}.bn{index}')
    out = eca_fast(out, w[f'{name}.eca.conv.weight'])
    if f'{name}.downsample.0.weight' in w:
        x = batch_norm(
            F.conv2d(x, w[f'{name}.downsample.0.weight'], stride=stride), w, f'{name}.downsample.1'
        )
    return F.relu(out + x)


def official_state_dict(depth, sizes=None, dtype=torch.float32, prefix='module.'):
    """Draw random weights with the names of the official release, including the classifier."""
    sizes = sizes or SIZES[depth]
    expansion = 4 if depth >= 50 else 1
    generator = torch.Generator().manual_seed(depth)
    w = {}

    def add_conv(name, out_channels, in_channels, k):
        weight = torch.randn(out_channels, in_channels, k, k, generator=generator, dtype=dtype)
        w[f'{name}.weight'] = weight * (2 / (in_channels * k * k)) ** 0.5

    def add_norm(name, channels):
        for key, low in (('weight', 0.5), ('bias', -0.5), ('running_mean', -0.5), ('running_var', 0.5)):
            w[f'{name}.{key}'] = torch.rand(channels, generator=generator, dtype=dtype) + low
        w[f'{name}.num_batches_tracked'] = torch.tensor(5)

    add_conv('conv1', 64, 3, 7)
    add_norm('bn1', 64)
    inplanes = 64
    for stage, blocks in enumerate(LAYERS[depth]):
        planes = 64 * 2**stage
        for block in range(blocks):
            name = f'layer{stage + 1}.{block}'
            if expansion == 4:
                shapes = ((planes, inplanes, 1), (planes, planes, 3), (4 * planes, planes, 1))
            else:
                shapes = ((planes, inplanes, 3), (planes, planes, 3))
            for index, shape in enumerate(shapes, 1):
                add_conv(f'{name}.conv{index}', *shape)
                add_norm(f'{name}.bn{index}', shape[0])
            size = sizes[stage]
            w[f'{name}.eca.conv.weight'] = torch.randn(1, 1, size, generator=generator, dtype=dtype)
            if inplanes != planes * expansion:
                add_conv(f'{name}.downsample.0', planes * expansion, inplanes, 1)
                add_norm(f'{name}.downsample.1', planes * expansion)
            inplanes = planes * expansion
    w['fc.weight'] = torch.randn(1000, inplanes, generator=generator, dtype=dtype)
    w['fc.bias'] = torch.randn(1000, generator=generator, dtype=dtype)
    return {prefix + key: value for key, value in w.items()}


def official_checkpoint(depth, **options):
    """Build a whole checkpoint as saved by the training script of ECANet."""
    return dict(
        epoch=100,
        arch=f'eca_resnet{depth}',
        state_dict=official_state_dict(depth, **options),
        best_prec1=torch.tensor(77.42),
        optimizer=dict(state={}, param_groups=[dict(lr=0.1, momentum=0.9)]),
    )

"""The attentions of the paper's comparison in plain torch, as functions of a state dict.

Written from the papers' equations; shares no code with the package, mmdet or timm.
"""

import torch
import torch.nn.functional as F


def mean_and_max(x):
    n, channels, height, width = x.shape
    flat = x.reshape(n, channels, height * width)
    return flat.sum(2) / (height * width), flat.max(2).values


def scaled(x, logits):
    """Each channel of ``x`` times the sigmoid of ``logits`` ``(N, C)``."""
    return torch.einsum('nchw,nc->nchw', x, 1 / (1 + torch.exp(-logits)))


def two_maps(w, y):
    hidden = (y @ w['fc1.weight'].flatten(1).T + w.get('fc1.bias', 0)).clamp(min=0)
    return hidden @ w['fc2.weight'].flatten(1).T + w.get('fc2.bias', 0)


def se(w, x):
    return scaled(x, two_maps(w, mean_and_max(x)[0]))


def se_var1(w, x):
    return scaled(x, mean_and_max(x)[0])


def se_var2(w, x):
    return scaled(x, mean_and_max(x)[0] * w['conv.weight'].flatten())


def se_gc(w, x):
    """One matrix with blocks on its diagonal; one block is SE-Var3."""
    weight = w['conv.weight'].flatten(1)
    blocks = weight.split(weight.shape[1])
    return scaled(x, mean_and_max(x)[0] @ torch.block_diag(*blocks).T)


def eca_ns(w, x):
    """Paper, eq. 7, channel by channel."""
    y, weight = mean_and_max(x)[0], w['conv.weight']
    channels, _, size = weight.shape
    logits = []
    for i in range(channels):
        inside = [j for j in range(size) if 0 <= i + j - size // 2 < channels]
        logits.append(sum(weight[i, 0, j] * y[:, i + j - size // 2] for j in inside))
    return scaled(x, torch.stack(logits, 1))


def spatial_gate(w, maximum, mean, name):
    """Gate ``(N, A, B)`` of two maps of this shape, the batch norm on its running statistics."""
    kernel = w[f'{name}.conv.weight'][0]
    out = sum(F.conv2d(m[:, None], k[None, None], padding=3)[:, 0] for m, k in zip((maximum, mean), kernel))
    out = (out - w[f'{name}.bn.running_mean']) / torch.sqrt(w[f'{name}.bn.running_var'] + 1e-5)
    return 1 / (1 + torch.exp(-(out * w[f'{name}.bn.weight'] + w[f'{name}.bn.bias'])))


def cbam(w, x):
    mean, maximum = mean_and_max(x)
    x = scaled(x, two_maps(w, mean) + two_maps(w, maximum))
    return torch.einsum('nchw,nhw->nchw', x, spatial_gate(w, x.max(1).values, x.mean(1), 'spatial'))


def triplet(w, x):
    """arXiv 2010.03045, eq. 5: three gated copies of the input, averaged."""
    cw = torch.einsum('nchw,ncw->nchw', x, spatial_gate(w, x.max(2).values, x.mean(2), 'cw'))
    # the second branch turns its tensor so that W stands where C was: its map is H x C
    height_channel = [pooled.transpose(1, 2) for pooled in (x.max(3).values, x.mean(3))]
    hc = torch.einsum('nchw,nhc->nchw', x, spatial_gate(w, *height_channel, 'hc'))
    hw = torch.einsum('nchw,nhw->nchw', x, spatial_gate(w, x.max(1).values, x.mean(1), 'hw'))
    return (cw + hc + hw) / 3


REFERENCES = dict(
    se=se,
    se_var1=se_var1,
    se_var2=se_var2,
    se_var3=se_gc,
    se_gc2=se_gc,
    se_gc4=se_gc,
    se_gc8=se_gc,
    se_gc16=se_gc,
    eca_ns=eca_ns,
    cbam=cbam,
    triplet=triplet,
)

"""Reference implementations of the attention layers in plain torch, as functions of a state_dict.

They follow the equations of the papers and share no code with the package, mmdet or timm.
"""

import torch
import torch.nn.functional as F


def mean_and_max(x):
    """Return the mean and the maximum of each channel ``(N, C)``."""
    n, channels, height, width = x.shape
    flat = x.reshape(n, channels, height * width)
    return flat.sum(2) / (height * width), flat.max(2).values


def scaled(x, logits):
    """Multiply each channel of ``x`` by the sigmoid of its logit ``(N, C)``."""
    return torch.einsum('nchw,nc->nchw', x, 1 / (1 + torch.exp(-logits)))


def two_maps(w, y):
    """Apply the two maps of SE to the channel descriptor ``(N, C)``."""
    hidden = (y @ w['fc1.weight'].flatten(1).T + w.get('fc1.bias', 0)).clamp(min=0)
    return hidden @ w['fc2.weight'].flatten(1).T + w.get('fc2.bias', 0)


def se(w, x):
    return scaled(x, two_maps(w, mean_and_max(x)[0]))


def se_var1(w, x):
    return scaled(x, mean_and_max(x)[0])


def se_var2(w, x):
    return scaled(x, mean_and_max(x)[0] * w['conv.weight'].flatten())


def se_gc(w, x):
    """SE-GC, with a block-diagonal matrix; a single block gives SE-Var3."""
    weight = w['conv.weight'].flatten(1)
    blocks = weight.split(weight.shape[1])
    return scaled(x, mean_and_max(x)[0] @ torch.block_diag(*blocks).T)


def eca_ns(w, x):
    """ECA-Net, eq. 7, channel by channel."""
    y, weight = mean_and_max(x)[0], w['conv.weight']
    channels, _, size = weight.shape
    logits = []
    for i in range(channels):
        neighbours = [i + j - size // 2 for j in range(size)]
        terms = [weight[i, 0, j] * y[:, n] for j, n in enumerate(neighbours) if 0 <= n < channels]
        logits.append(sum(terms))
    return scaled(x, torch.stack(logits, 1))


def spatial_gate(w, maximum, mean, name):
    """Return the gate ``(N, A, B)`` of two maps ``(N, A, B)``, with the batch norm in evaluation mode."""
    kernel = w[f'{name}.conv.weight'][0]
    out = sum(F.conv2d(m[:, None], k[None, None], padding=3)[:, 0] for m, k in zip((maximum, mean), kernel))
    out = (out - w[f'{name}.bn.running_mean']) / torch.sqrt(w[f'{name}.bn.running_var'] + 1e-5)
    return 1 / (1 + torch.exp(-(out * w[f'{name}.bn.weight'] + w[f'{name}.bn.bias'])))


def cbam(w, x):
    mean, maximum = mean_and_max(x)
    x = scaled(x, two_maps(w, mean) + two_maps(w, maximum))
    return torch.einsum('nchw,nhw->nchw', x, spatial_gate(w, x.max(1).values, x.mean(1), 'spatial'))


def triplet(w, x):
    """Average three gated copies of the input (arXiv 2010.03045, eq. 5)."""
    cw = torch.einsum('nchw,ncw->nchw', x, spatial_gate(w, x.max(2).values, x.mean(2), 'cw'))
    # The second branch pools along W and exchanges W and C, so its maps are (N, H, C).
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

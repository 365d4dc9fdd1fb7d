"""Change the weights of a model in the ways that a training does; the next call must use the new weights."""

import torch
from torch import nn


@torch.no_grad()
def scale_in_place(model):
    for parameter in model.parameters():
        parameter.mul_(1.5)


def add_to_data(model):
    for parameter in model.parameters():
        parameter.data.add_(0.1)


def replace_data(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 0.7


def step_sgd(model):
    _step(model, torch.optim.SGD(model.parameters(), 0.01))


def step_fused_adamw(model):
    _step(model, torch.optim.AdamW(model.parameters(), 0.1, fused=True))


def _step(model, optimizer):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    model.zero_grad()


def scale_statistics(model):
    for name, buffer in model.named_buffers():
        if 'running' in name:
            buffer.mul_(1.3)


def zero_gammas(model):
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.affine:
            nn.init.zeros_(norm.weight)


def freeze_most_parameters(model):
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(i % 3 == 0)

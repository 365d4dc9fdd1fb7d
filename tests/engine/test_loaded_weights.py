"""The weights of a checkpoint are verified after loading, in real runs of mmengine's Runner."""

import itertools

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from eca_mmdet.checkpoints import LoadedWeightsError, read_checkpoint
from eca_mmdet.checkpoints.mmengine_loading import load_from_local


class Detector(BaseModel):
    """A detector with a backbone of two layers and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.head = nn.Linear(2, 1)

    def forward(self, x, mode='loss'):
        value = self.head(self.backbone(x)).square().mean()
        return dict(loss=value) if mode == 'loss' else [value]


_RUN_NUMBERS = itertools.count()  # mmengine needs a unique name for each run


def build_runner(work_dir, hooks=(), model=None, **options):
    data = [torch.randn(2) for _ in range(4)]
    loader = dict(batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False),
                  dataset=[dict(x=x) for x in data], collate_fn=dict(type='default_collate'))  # fmt: skip
    return Runner(
        model=model or Detector(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=options.pop('epochs', 1)),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        test_dataloader=dict(loader),
        test_cfg=dict(),
        test_evaluator=[],
        custom_hooks=[dict(type='LoadedWeightsHook'), *hooks],
        experiment_name=f'weights{next(_RUN_NUMBERS)}',
        **options,
    )


def read_logs(work_dir):
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


class RecordInitialWeights(Hook):
    """Copy the weights that a run starts with."""

    def before_train_epoch(self, runner):
        self.copy_weights(runner)

    def before_test_epoch(self, runner):
        self.copy_weights(runner)

    def copy_weights(self, runner):
        self.weights = {k: v.clone() for k, v in runner.model.state_dict().items()}


def initial_weights(run, method):
    """Train or test a model, and return the weights that it started with."""
    hook = RecordInitialWeights()
    run.register_hook(hook)
    getattr(run, method)()
    return hook.weights


@pytest.fixture
def weights():
    return {name: torch.rand_like(v) if v.dim() else v for name, v in Detector().state_dict().items()}


def without(weights, *prefixes):
    return {name: value for name, value in weights.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize('method', ['train', 'test'])
@pytest.mark.parametrize('container', ['state_dict', 'model', 'ema', None])
def test_load__fills_the_model_from_any_container(tmp_path, weights, container, method):
    torch.save({container: weights} if container else weights, tmp_path / 'x.pth')
    initial = initial_weights(build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')), method)
    assert all(torch.equal(initial[name], value) for name, value in weights.items())
    assert f'9 of 9 tensors of {tmp_path}/x.pth took effect.' in read_logs(tmp_path)


def test_load_of_half_precision__is_verified_in_the_dtype_of_the_model(tmp_path, weights):
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    torch.save(half, tmp_path / 'x.pth')
    build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')).test()
    assert '9 of 9 tensors' in read_logs(tmp_path)


def test_load_into_a_compiled_part__uses_the_names_of_the_model(tmp_path, weights):
    torch.save(weights, tmp_path / 'x.pth')
    model = Detector()
    model.backbone = torch.compile(model.backbone)  # compiles in the first call only
    run = build_runner(tmp_path, model=model, load_from=str(tmp_path / 'x.pth'))
    run.call_hook('before_run')
    run.load_or_resume()
    assert torch.equal(model.state_dict()['backbone._orig_mod.0.weight'], weights['backbone.0.weight'])


@pytest.mark.parametrize('method', ['train', 'test'])
def test_load_of_unrelated_weights__is_an_error(tmp_path, method):
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'x.pth')
    with pytest.raises(LoadedWeightsError, match='x.pth (fills none of the 9|does not fit the config)'):
        getattr(build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')), method)()


def test_training_from_a_part_of_the_backbone__is_an_error(tmp_path, weights):
    torch.save(without(weights, 'backbone.0.weight'), tmp_path / 'x.pth')
    with pytest.raises(LoadedWeightsError, match=r"1 of its 7 tensors .*\['backbone.0.weight'\]"):
        build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')).train()


def test_training_from_a_whole_backbone__is_allowed(tmp_path, weights):
    torch.save(without(weights, 'head.'), tmp_path / 'x.pth')
    build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')).train()
    assert '7 of 7 tensors of' in read_logs(tmp_path)


def test_test_with_a_missing_tensor__is_an_error(tmp_path, weights):
    torch.save(without(weights, 'head.bias'), tmp_path / 'x.pth')
    with pytest.raises(LoadedWeightsError, match=r"1 of 9 tensors missing \['head.bias'\]"):
        build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')).test()


def test_test_without_batch_counters__is_allowed(tmp_path, weights):
    torch.save(without(weights, 'backbone.1.num_batches'), tmp_path / 'x.pth')
    build_runner(tmp_path, load_from=str(tmp_path / 'x.pth')).test()
    assert '8 of 8 tensors of' in read_logs(tmp_path)


def test_tensor_with_other_values_than_the_checkpoint__is_an_error(tmp_path, weights):
    torch.save(weights, tmp_path / 'x.pth')
    run = build_runner(tmp_path, load_from=str(tmp_path / 'x.pth'))
    run.call_hook('before_run')
    run.load_or_resume()
    run.model.head.weight.data.add_(1)
    with pytest.raises(LoadedWeightsError, match=r"do not hold its values after loading: \['head.weight'\]"):
        run.call_hook('before_test')


def test_remote_checkpoint__is_unwrapped_and_verified(tmp_path, weights):
    content = dict(model=weights)
    CheckpointLoader.register_scheme('memory://', lambda name, map_location: dict(content), force=True)
    try:
        initial = initial_weights(build_runner(tmp_path, load_from='memory://x'), 'train')
        assert torch.equal(initial['head.weight'], weights['head.weight'])
        assert '9 of 9 tensors of memory://x took effect' in read_logs(tmp_path)
        content['model'] = without(weights, 'backbone.1')
        with pytest.raises(LoadedWeightsError, match='memory://x does not fill the backbone'):
            build_runner(tmp_path, load_from='memory://x').train()
    finally:
        CheckpointLoader._schemes.pop('memory://')
    assert CheckpointLoader._get_checkpoint_loader('x.pth') is load_from_local


def test_resume_with_averaged_weights__restores_the_trained_weights(tmp_path):
    """mmengine saves the averages under ``state_dict`` and swaps them back in a resume."""
    ema = [dict(type='EMAHook', momentum=0.5)]
    run = build_runner(tmp_path, ema)
    run.train()
    trained = run.model.state_dict()
    saved = read_checkpoint(tmp_path / 'epoch_1.pth')
    assert not torch.equal(saved['state_dict']['head.weight'], trained['head.weight'])
    initial = initial_weights(build_runner(tmp_path, ema, resume=True, epochs=2), 'train')
    assert all(torch.equal(initial[name], value) for name, value in trained.items())
    assert '9 of 9 tensors of the last checkpoint' in read_logs(tmp_path)


def test_test_with_averaged_weights__uses_the_averages(tmp_path):
    build_runner(tmp_path, [dict(type='EMAHook', momentum=0.5)]).train()
    saved = read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']
    initial = initial_weights(build_runner(tmp_path, load_from=str(tmp_path / 'epoch_1.pth')), 'test')
    assert all(torch.equal(initial[name], value) for name, value in saved.items())


def test_load_into_a_wrapped_model__is_verified(tmp_path, weights):
    torch.save(weights, tmp_path / 'x.pth')
    run = build_runner(tmp_path, load_from=str(tmp_path / 'x.pth'))
    run.call_hook('before_run')
    run.model = nn.DataParallel(run.model)
    run.load_or_resume()
    run.call_hook('before_test')
    assert torch.equal(run.model.module.head.weight, weights['head.weight'])
    assert '9 of 9 tensors of' in read_logs(tmp_path)

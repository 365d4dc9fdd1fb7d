import pytest
import torch

pytestmark = pytest.mark.usefixtures('mmpretrain')


def test_topk__is_limited_to_the_number_of_classes():
    from eca_mmdet.classification.accuracy import limit_topk

    accuracy, other = dict(type='Accuracy', topk=(1, 5)), dict(type='ConfusionMatrix')
    assert limit_topk(accuracy, 5) == [accuracy]
    assert limit_topk([accuracy, other], 3) == [dict(type='Accuracy', topk=(1,)), other]
    assert limit_topk(dict(type='Accuracy', topk=(5,)), 3) == [dict(type='Accuracy', topk=(1,))]
    assert limit_topk(accuracy, None) == [accuracy]
    assert accuracy['topk'] == (1, 5)


def evaluated(scores, labels):
    """Results of MMPretrain's metrics for class scores ``(N, C)``."""
    from mmengine.evaluator import Evaluator
    from mmengine.registry import DefaultScope
    from mmpretrain.structures import DataSample

    from eca_mmdet.classification.accuracy import add_class_accuracy

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        evaluator = Evaluator(add_class_accuracy([dict(type='Accuracy', topk=(1, 2))]))
    samples = [
        DataSample().set_gt_label(label).set_pred_score(score).set_pred_label(score.argmax())
        for score, label in zip(scores, labels)
    ]
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def test_class_accuracy__is_the_part_of_its_images_that_are_correct():
    from eca_mmdet.classification.accuracy import accuracy_table, collect_accuracy

    predicted, labels = [0, 0, 1, 1], [0, 0, 0, 1]
    scores = torch.nn.functional.one_hot(torch.tensor(predicted), 3) * 0.5 + 0.1
    results = collect_accuracy(evaluated(scores, labels), ('crane', 'dog', 'crane'))
    assert results['accuracy']['top1'] == 75
    assert set(results['accuracy']) == {'top1', 'top2'}
    first, dog, last = results['classes'].items()
    assert first == ('crane (0)', dict(accuracy=66.6667, images=3))
    assert dog == ('dog', dict(accuracy=100, images=1))
    assert last == ('crane (2)', dict(accuracy=None, images=0))
    table = accuracy_table(results)
    assert '66.667' in table
    assert '| crane (2) |           - |      0 |' in table


def test_collect__keeps_other_metrics_under_their_names():
    from eca_mmdet.classification.accuracy import collect_accuracy

    results = collect_accuracy({'accuracy/top1': 50.0, 'single-label/precision': 20.0}, ())
    assert results == dict(accuracy=dict(top1=50.0), other={'single-label/precision': 20.0})


@pytest.mark.parametrize(('top1', 'explained'), [(0.1, True), (11, True), (14, False), (90, False)])
def test_explanation__is_given_for_results_like_guessing(top1, explained):
    from eca_mmdet.classification.accuracy import explain_chance

    text = explain_chance(dict(accuracy=dict(top1=top1)), images=1000, num_classes=10, trained_iters=8)
    assert ('not better than guessing' in text) == explained
    assert ('iterations: 8' in text) == explained

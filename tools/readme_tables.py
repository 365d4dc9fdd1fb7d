"""Generate the tables in README.md and in pages of docs/ from configs and results."""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml
from benchmarks.cases import size_text
from benchmarks.machine_report import measurement_text

ROOT = Path(__file__).resolve().parents[1]


def models():
    """Yield the table of configs with published results."""
    yield '| config | box AP (published) | mask AP (published) |'
    yield '|---|---|---|'
    for model in yaml.safe_load((ROOT / 'configs/metafile.yml').read_text())['Models']:
        metrics = {}
        for result in model['Results']:
            metrics.update(result['Metrics'])
        if 'box AP' in metrics:
            box, mask = metrics['box AP'], metrics.get('mask AP', '-')
            yield f'| [{model["Name"]}]({model["Config"]}) | {box} | {mask} |'


def classifiers():
    """Yield the table of ImageNet configs with a published accuracy."""
    yield '| config | top-1 (published) | top-5 (published) |'
    yield '|---|---|---|'
    for model in yaml.safe_load((ROOT / 'configs/metafile.yml').read_text())['Models']:
        for result in model['Results']:
            if result['Task'] == 'Image Classification':
                top1, top5 = (result['Metrics'][f'Top {k} Accuracy'] for k in (1, 5))
                yield f'| `{model["Config"]}` | {top1} | {top5} |'


def segmentors():
    """Yield the recipes of semantic segmentation with the published mIoU of the plain networks."""
    yield '| recipe, 50 and 101 layers | mIoU, plain stem (published) | mIoU, ResNetV1c (published) |'
    yield '|---|---|---|'
    found = yaml.safe_load((ROOT / 'configs/segmentation/metafile.yml').read_text())['Models']
    models = {model['Name']: model for model in found}
    for name in models:
        if '_resnet50_' in name:
            pair = [models[name], models[name.replace('resnet50', 'resnet101')]]
            plain = [m['Results'][0]['Metrics']['mIoU'] if m['Results'] else '-' for m in pair]
            deep = [f'{m["Metadata"]["With ResNetV1c"]["mIoU"]:.2f}' for m in pair]
            recipe = name.replace('_resnet50_', '_{ecanet,resnet}{50,101}_')
            yield f'| `{recipe}` | {" / ".join(map(str, plain))} | {" / ".join(deep)} |'


def checkpoints():
    """Yield the table of released checkpoints."""
    yield '| checkpoint | source | download | convert to | config |'
    yield '|---|---|---|---|---|'
    for group in yaml.safe_load((ROOT / 'configs/checkpoints.yml').read_text()):
        for file, (target, config) in group['files'].items():
            place = f'`configs/{config}`' if config else '`VARIANTS` of `eca_mmdet.backbones`'
            links = download_links(**group['downloads'][file])
            yield f'| `{file}` | {group["source"]} | {links} | `{target}` | {place} |'


def download_links(drive='', baidu='', code='', hub=()):
    """Return links to a checkpoint on Google Drive, Baidu (with extract code) and the Hugging Face hub."""
    links = [f'[Google Drive](https://drive.google.com/uc?id={drive})'] if drive else []
    links += [f'[Baidu](https://pan.baidu.com/s/{baidu}) (code {code})'] if baidu else []
    return ', '.join([*links, *(f'[{name}](https://huggingface.co/timm/{name})' for name in hub)])


def speed():
    """Yield one table of ratios, with command and machine, per result file of tools/benchmark.py."""
    for file in sorted((ROOT / 'docs/benchmarks').glob('*_cpu_*.json')):
        content = json.loads(file.read_text())
        machine, cells = content['machine'], {}
        for r in content['results']:
            case = f'{r["mode"]}, {size_text(r)}, batch {r["batch"]}'
            cells.setdefault(case, {})[r['model']] = speed_cell(r)
        sets = ', '.join(
            name for name, is_present in machine.get('instruction_sets', {}).items() if is_present
        )
        yield f'`{content["command"]}` on {machine["processor"]}{f" ({sets})" if sets else ""},'
        yield f'{machine["threads"]} threads, eca_mmdet {machine["eca_mmdet"]}, `{file.name}`:'
        yield ''
        yield f'| model | {" | ".join(cells)} |'
        yield '|---|' + '---|' * len(cells)
        for model in dict.fromkeys(r['model'] for r in content['results']):
            yield f'| {model} | {" | ".join(row.get(model, "-") for row in cells.values())} |'
        yield ''


def speed_cell(record):
    """Format the ratio to stock with quartiles, the measurement, and the ratio to the best stock model."""
    ratio = record['ratio']
    text = f'**{ratio["median"]:.2f}** ({ratio["q1"]:.2f} to {ratio["q3"]:.2f}), {measurement_text(record)}'
    best = record.get('best_stock')
    return f'{text}; {best["median"]:.2f} of {best["model"]}' if best else text


def profiles():
    """Yield the milliseconds per group of operations for each result of tools/benchmark.py --profile."""
    for file in sorted((ROOT / 'docs/benchmarks').glob('profile_*.json')):
        content = json.loads(file.read_text())
        records, machine = content['profiles'], content['machine']
        yield f'`{content["command"]}` on {machine["processor"]},'
        yield f'{machine["threads"]} threads, `{file.name}`, in ms:'
        yield ''
        yield '| operations | ' + ' | '.join(f'{r["model"]}, {r["mode"]}' for r in records) + ' |'
        yield '|---|' + '---|' * len(records)
        for group in records[0]['groups']:
            yield f'| {group} | ' + ' | '.join(f'{r["groups"][group] * 1e3:.0f}' for r in records) + ' |'
        yield '| all | ' + ' | '.join(f'{r["seconds"] * 1e3:.0f}' for r in records) + ' |'
        yield ''


PAGES = {
    'README.md': (models,),
    'docs/checkpoints.md': (checkpoints,),
    'docs/classification.md': (classifiers,),
    'docs/performance.md': (speed, profiles),
    'docs/segmentation.md': (segmentors,),
}


def render(text: str, page: str = 'README.md') -> str:
    """Replace every marked table of a page by its current content.

    Raises:
        ValueError: If a marker is missing or appears more than once.
    """
    for rows in PAGES[page]:
        name = rows.__name__
        table = f'<!-- {name} -->\n' + '\n'.join(rows()) + f'\n<!-- end of {name} -->'
        text, count = re.subn(
            f'<!-- {name} -->.*?<!-- end of {name} -->', lambda _, table=table: table, text, flags=re.S
        )
        if count != 1:
            raise ValueError(
                f'{page} has {count} places marked <!-- {name} --> ... <!-- end of {name} -->, expected 1'
            )
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=f'Generate the tables in {", ".join(PAGES)} from configs and docs/benchmarks.'
    )
    parser.add_argument('--check', action='store_true', help='only check: fail if a page is out of date')
    args = parser.parse_args(argv)
    for page in PAGES:
        path = ROOT / page
        old = path.read_text()
        new = render(old, page)
        if args.check and new != old:
            sys.exit(f'{page} is out of date. Update it:\n  python tools/readme_tables.py')
        if new != old:
            path.write_text(new)


if __name__ == '__main__':
    main()

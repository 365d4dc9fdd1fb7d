"""Write the tables of README.md from the files of configs and docs/benchmarks, or check them."""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

from eca_mmdet.benchmark.cases import size_text
from eca_mmdet.benchmark.report import figure_text

ROOT = Path(__file__).resolve().parents[1]


def models():
    """Rows of the configs with published results."""
    yield '| config | box AP (published) | mask AP (published) |'
    yield '|---|---|---|'
    for model in yaml.safe_load((ROOT / 'configs/metafile.yml').read_text())['Models']:
        figures = {}
        for result in model['Results']:
            figures.update(result['Metrics'])
        if figures:
            box, mask = figures['box AP'], figures.get('mask AP', '-')
            yield f'| [{model["Name"]}]({model["Config"]}) | {box} | {mask} |'


def checkpoints():
    """Rows of every released checkpoint."""
    yield '| checkpoint | source | convert to | config |'
    yield '|---|---|---|---|'
    for group in yaml.safe_load((ROOT / 'configs/checkpoints.yml').read_text()):
        for file, (target, config) in group['files'].items():
            place = f'`configs/{config}`' if config else '`VARIANTS` of `eca_mmdet.backbones`'
            yield f'| `{file}` | {group["source"]} | `{target}` | {place} |'


def speed():
    """A table of ratios, with command and machine, for every result of tools/benchmark.py."""
    for file in sorted((ROOT / 'docs/benchmarks').glob('*_cpu.json')):
        found = json.loads(file.read_text())
        machine, cells = found['machine'], {}
        for r in found['results']:
            case = f'{r["mode"]}, {size_text(r)}, batch {r["batch"]}'
            low, high = r['ratio']['q1'], r['ratio']['q3']
            text = f'**{r["ratio"]["median"]:.2f}** ({low:.2f} to {high:.2f}), {figure_text(r)}'
            cells.setdefault(case, {})[r['model']] = text
        yield f'`{found["command"]}` on {machine["processor"]}, {machine["threads"]} threads:'
        yield ''
        yield f'| model | {" | ".join(cells)} |'
        yield '|---|' + '---|' * len(cells)
        for model in dict.fromkeys(r['model'] for r in found['results']):
            yield f'| {model} | {" | ".join(row.get(model, "-") for row in cells.values())} |'
        yield ''


TABLES = dict(models=models, checkpoints=checkpoints, speed=speed)


def render(text: str) -> str:
    """Return the README's text with every marked table made anew."""
    for name, rows in TABLES.items():
        table = f'<!-- {name} -->\n' + '\n'.join(rows()) + f'\n<!-- end of {name} -->'
        text, count = re.subn(
            f'<!-- {name} -->.*?<!-- end of {name} -->', lambda _, table=table: table, text, flags=re.S
        )
        if count != 1:
            raise ValueError(
                f'README.md must have one place <!-- {name} --> ... <!-- end of {name} -->, has {count}'
            )
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Write the tables of README.md from configs and docs/benchmarks.'
    )
    parser.add_argument(
        '--check', action='store_true', help='change nothing; fail if README.md is out of date'
    )
    args = parser.parse_args(argv)
    readme = ROOT / 'README.md'
    old = readme.read_text()
    new = render(old)
    if args.check and new != old:
        sys.exit('README.md is out of date: run python tools/readme_tables.py')
    if new != old:
        readme.write_text(new)


if __name__ == '__main__':
    main()

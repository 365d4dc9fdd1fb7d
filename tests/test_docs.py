"""The documentation: links and paths lead to what exists, examples are complete, the README is short."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *ROOT.glob('docs/*.md')])
WITH_PATHS = [page for page in PAGES if page.name != 'extending.md']  # whose files are examples
FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.M | re.S)
FOLDERS = r'(?:eca_mmdet|configs|tools|tests|docs|requirements)/[\w./-]*\w/?'


def ids(pages):
    return [page.name for page in pages]


def anchors(page):
    titles = re.findall(r'^#+ (.+)$', FENCE.sub('', page.read_text()), re.M)
    return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=ids(PAGES))
def test_links__lead_to_files_and_titles_that_exist(page):
    text = FENCE.sub('', page.read_text())
    for target in re.findall(r'\]\((?!https?:)([^)\s]+)\)', text):
        path, _, anchor = target.partition('#')
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize('page', WITH_PATHS, ids=ids(WITH_PATHS))
def test_paths__exist(page):
    text = FENCE.sub('', page.read_text())
    for path in re.findall(rf'`({FOLDERS})`', text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize('page', PAGES, ids=ids(PAGES))
def test_commands__call_tools_that_exist(page):
    for tool in re.findall(r'python (tools/\w+\.py)', page.read_text()):
        assert (ROOT / tool).is_file(), tool


@pytest.mark.parametrize('page', PAGES, ids=ids(PAGES))
def test_python_examples__can_be_parsed(page):
    for language, code in FENCE.findall(page.read_text()):
        if language == 'python':
            ast.parse(code)


def test_readme__is_read_in_two_minutes():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 150


FOREIGN = ('No module named', 'undefined symbol', 'MMCV==', 'Weights only load failed', 'testing results')
"""Messages of other packages in docs/troubleshooting.md."""


@pytest.fixture(scope='module')
def messages():
    """All texts in the code; what an f-string inserts is left out."""
    texts = []
    for file in [*ROOT.glob('eca_mmdet/**/*.py'), *ROOT.glob('tools/**/*.py')]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else '\0' for part in node.values]
                texts.append(''.join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_messages__are_those_of_the_code(messages):
    """The first cell of a row and the start of a list entry quote messages, with gaps as ``...``."""
    text = (ROOT / 'docs/troubleshooting.md').read_text()
    starts = re.findall(r'^(?:- (`.*?):|\| (`.*?) \|)', text, re.M)
    quoted = re.findall('`([^`]+)`', ' '.join(''.join(start) for start in starts))
    quoted = [quote for quote in quoted if ' ' in quote and not quote.startswith(('--', *FOREIGN))]
    assert len(quoted) > 30
    for quote in quoted:
        parts = [part.strip() for part in quote.split('...') if part.strip()]
        assert any(all(part in message for part in parts) for message in messages), quote

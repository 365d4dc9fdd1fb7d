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

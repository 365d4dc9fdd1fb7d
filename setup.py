"""Packages and files of eca_mmdet; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

# Tools that need a checkout of the repository.
DEVELOPER_TOOLS = ('benchmark*.py', 'readme_tables.py', 'setup_env.py')

setup(
    packages=find_packages(include=['eca_mmdet', 'eca_mmdet.*']),
    # mmengine looks for `eca_mmdet::NAME.py` in .mim/configs, mim for tools in .mim/tools. In the
    # repository .mim holds links, in a wheel the files themselves.
    package_data={
        'eca_mmdet': [
            'py.typed',
            'report/*.html',
            '.mim/*.yml',
            *('.mim/configs' + '/*' * depth for depth in (1, 2, 3)),
            '.mim/tools/*',
        ]
    },
    exclude_package_data={'eca_mmdet': [f'.mim/tools/{name}' for name in DEVELOPER_TOOLS]},
)

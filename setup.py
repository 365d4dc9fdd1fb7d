"""Package of eca_mmdet; its configs and tools travel in ``eca_mmdet/.mim``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'eca_mmdet/__init__.py').read_text())[1]
# Tools that need a checkout of the repository.
DEVELOPER_TOOLS = ('benchmark*.py', 'readme_tables.py', 'setup_env.py')

setup(
    name='eca_mmdet',
    version=VERSION,
    description='ECA-Net (efficient channel attention) backbones for MMDetection',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='MIT',
    python_requires='>=3.9',
    packages=find_packages(include=['eca_mmdet', 'eca_mmdet.*']),
    # mmengine looks for `eca_mmdet::NAME.py` in .mim/configs, mim for tools in .mim/tools. In the
    # repository .mim holds links, in a wheel the files themselves.
    package_data={'eca_mmdet': ['.mim/*.yml', '.mim/configs/*', '.mim/configs/*/*', '.mim/tools/*']},
    exclude_package_data={'eca_mmdet': [f'.mim/tools/{name}' for name in DEVELOPER_TOOLS]},
    # Not torch, mmcv and mmdet: mmcv must be built against the installed torch, which pip's isolated
    # build cannot see, and the onedl forks provide the same modules under other names.
    install_requires=['safetensors>=0.5'],
    # Faster COCO evaluation; the tests compare this version's digits with pycocotools'.
    extras_require={'eval': ['hotcoco==1.3.0']},
    classifiers=[
        'License :: OSI Approved :: MIT License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    zip_safe=False,
)

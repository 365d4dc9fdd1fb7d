"""Report what is installed, what is missing and how to fix it: tools/doctor.py"""

import importlib.util
import sys
from pathlib import Path

PARENT = Path(__file__).resolve().parents[1]
# An installed wheel has this file in eca_mmdet/.mim/tools; the repository has it in tools/.
PACKAGE = PARENT.parent if PARENT.name == '.mim' else PARENT / 'eca_mmdet'


def main():
    # `import eca_mmdet` fails if a dependency is broken, which is what this tool has to report.
    # An empty stand-in package lets the two modules needed here be imported without it.
    spec = importlib.util.spec_from_loader('eca_mmdet', loader=None, is_package=True)
    package = importlib.util.module_from_spec(spec)
    package.__path__ = [str(PACKAGE)]
    sys.modules.setdefault('eca_mmdet', package)
    try:
        from eca_mmdet.doctor import doctor_facts, doctor_table
    except ImportError as error:
        sys.exit(
            f'error: {error}. Set up the environment, or follow "Installation" in README.md:\n  make setup'
        )
    facts = doctor_facts()
    print(doctor_table(facts))
    return int(any(fact.remedy and not fact.optional for fact in facts))


if __name__ == '__main__':
    sys.exit(main())

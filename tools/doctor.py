"""What is installed, what is missing and how to mend it: tools/doctor.py"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
# In the repository tools/ stands beside the package, in a wheel it is eca_mmdet/.mim/tools.
PACKAGE = HERE.parents[1] / 'eca_mmdet' if HERE.parents[1].name != '.mim' else HERE.parents[2]


def main():
    # `import eca_mmdet` refuses a broken stack, which is what this tool is for: its two modules
    # are loaded by themselves.
    spec = importlib.util.spec_from_loader('eca_mmdet', loader=None, is_package=True)
    package = importlib.util.module_from_spec(spec)
    package.__path__ = [str(PACKAGE)]
    sys.modules.setdefault('eca_mmdet', package)
    try:
        from eca_mmdet.doctor import doctor_facts, doctor_table
    except ImportError as error:
        sys.exit(f'error: {error}; run make setup (or the steps under "Installation" in README.md)')
    facts = doctor_facts()
    print(doctor_table(facts))
    return int(any(fact.remedy and not fact.optional for fact in facts))


if __name__ == '__main__':
    sys.exit(main())

"""Write JSON files atomically: a file is either complete or unchanged."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, and create its folder if needed. Several processes may write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}.unfinished')
    try:
        unfinished.write_text(json.dumps(content, ensure_ascii=False), encoding='utf-8')
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)

"""The engine as Python, and as the extension modules that an installation makes of it."""

import json
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import pipeline

_HERE = Path(pipeline.__file__).parent
_COMPILED = [path for suffix in EXTENSION_SUFFIXES for path in (_HERE / "splitting").glob(f"*{suffix}")]
_CUT = """
import json, sys

from pathlib import Path
from pipeline.splitter_spec import SplitterSpec
from pipeline.splitting import make, windows
from pipeline.tokens import OpenAITokens
found = [windows.__file__]
for kind in ("recursive", "markdown", "sentence", "fixed"):
    for bound in ({"max_tokens": 60}, {"max_tokens": 60, "overlap_tokens": 10}, {"max_characters": 200}):
        split = make(SplitterSpec(kind, **bound), OpenAITokens()).split
        found += [chunk._asdict() for path in sys.argv[1:] for chunk in split(Path(path).read_text())]
json.dump(found, sys.stdout)
"""


def _cut(folder: Path, pages: list[Path]) -> list[object]:
    command = [sys.executable, "-c", _CUT, *map(str, pages)]
    made = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    found: list[object] = json.loads(made.stdout)
    return found


def test_python_and_extension_modules_cut_alike(tmp_path: Path) -> None:
    if not _COMPILED:
        pytest.skip("the engine is not compiled: there was no C compiler when vecmill was installed")
    pages = sorted((_HERE.parent / "flows" / "samples").rglob("*.md"))
    shutil.copytree(_HERE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    compiled, plain = _cut(_HERE.parent, pages), _cut(tmp_path, pages)
    assert str(compiled[0]).endswith(tuple(EXTENSION_SUFFIXES))
    assert plain[0] == str(tmp_path / "pipeline" / "splitting" / "windows.py")
    assert compiled[1:] == plain[1:]
    assert len(plain) > 1000


def test_extension_modules_are_made_of_the_files_beside_them() -> None:
    for path in _COMPILED:
        source = path.with_name(path.name.partition(".")[0] + ".py")
        if source.exists():
            assert path.stat().st_mtime >= source.stat().st_mtime, (
                f"{source} has changed: run `uv sync` again"
            )

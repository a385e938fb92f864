"""Compiles the engine of the splitters with mypyc, where a C compiler is at hand.

The same Python files, typed as they are, become extension modules that lie beside them; without a compiler
they run as they are, to the same chunks, more slowly.
"""

import sysconfig
import tempfile
from pathlib import Path
from shutil import copyfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDER = Path("pipeline/splitting")
_COMPILED = (
    "fences",
    "levels",
    "lines",
    "markdown",
    "parts",
    "pieces",
    "prose",
    "rulers",
    "sections",
    "separators",
    "structure",
    "sums",
    "windows",
)


class CompileHook(BuildHookInterface):
    """Puts extension modules beside the files that they are made from, for wheels and editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; what cannot be compiled here stays Python."""
        if self.target_name != "wheel":
            return
        folder = Path(self.root, _FOLDER)
        for old in folder.glob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
            old.unlink()
        try:
            made = _compiled(Path(self.root))
        except (Exception, SystemExit) as error:
            self.app.display_warning(f"the splitters stay Python, which is slower: {error}")
            return
        if version == "standard":
            build_data["artifacts"] += [f"/{_FOLDER}/{name}" for name in made]
            build_data["pure_python"] = False
            build_data["infer_tag"] = True


def _compiled(root: Path) -> list[str]:
    """Compile the modules, and give the names of the files that were made."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    options = ["--config-file=", "--strict", "--ignore-missing-imports", "--follow-imports=silent"]
    options += ["--explicit-package-bases", "--no-warn-unused-ignores", "--allow-subclassing-any"]
    files = [str(_FOLDER / f"{name}.py") for name in _COMPILED]
    with tempfile.TemporaryDirectory(prefix="vecmill-build-") as folder:
        options.append(f"--cache-dir={folder}/mypy")
        group = f"{_FOLDER.as_posix().replace('/', '.')}.compiled"
        extensions = mypycify(
            [*options, *files], opt_level="3", debug_level="0", target_dir=f"{folder}/c", group_name=group
        )
        command = build_ext(Distribution({"name": "vecmill", "ext_modules": extensions}))
        command.build_lib, command.build_temp = f"{folder}/lib", f"{folder}/temp"
        command.ensure_finalized()
        command.run()
        made = sorted(Path(folder, "lib", _FOLDER).iterdir())
        for file in made:
            copyfile(file, root / _FOLDER / file.name)
        return [file.name for file in made]

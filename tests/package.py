"""Build the wheel, install it in a clean environment, and render an example from there."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROJECT = Path(__file__).parents[1]
EXAMPLE = PROJECT / "examples" / "upstream" / "two-nodes.json"


def main() -> None:
    """Fails with the failing step's output."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(PROJECT)], folder)
        wheel = next(folder.glob("*.whl"))
        venv.create(folder / "clean", with_pip=True)
        python = folder / "clean" / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet"]
        _run([*install, "--constraint", str(PROJECT / "constraints.txt"), str(wheel)], folder)
        command = str(python.with_name("jarvice-downstream"))
        rendered = _run([command, "render", str(EXAMPLE)], folder)
        ours = str(Path(sys.executable).with_name("jarvice-downstream"))
        here = _run([ours, "render", str(EXAMPLE)], PROJECT)
        if not rendered or rendered != here:
            sys.exit("error: the installed wheel renders something else than the checkout")
    print(f"{wheel.name}: installed in a clean environment, renders {EXAMPLE.name} as the checkout does")


def _run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()

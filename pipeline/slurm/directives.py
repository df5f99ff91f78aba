"""Reading ``#SBATCH`` lines, for who has to obey them without Slurm. Source: sbatch(1)."""

from __future__ import annotations

from collections.abc import Iterator


def read(script: str) -> dict[str, str]:
    """The long options of a batch script; a bare option is an empty text.

    As sbatch does, this stops at the first line that is neither a comment nor empty.
    """
    options: dict[str, str] = {}
    for line in script.split("\n"):
        if line.startswith("#SBATCH"):
            for word in _words(line.removeprefix("#SBATCH")):
                option, _, value = word.removeprefix("--").partition("=")
                options[option] = value
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return options


def _words(text: str) -> Iterator[str]:
    """The words of a line. A backslash takes the next character as it is, inside quotes too."""
    word, quote, characters = "", "", iter(text)
    for character in characters:
        if character == "\\":
            word += next(characters, "")
        elif character == quote:
            quote = ""
        elif quote:
            word += character
        elif character in "'\"":
            quote = character
        elif character == "#":
            break
        elif character in " \t":
            yield from [word] if word else []
            word = ""
        else:
            word += character
    yield from [word] if word else []

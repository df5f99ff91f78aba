"""A job's registry logins, kept out of its batch script.

Slurm keeps batch scripts (``scontrol write batch_script``, slurmdbd) and shows them. So the script has a
mark where each login belongs, and a file in the job's control folder says what stands for which mark.
The file is a program for sed(1), which puts the logins into what the script writes.
"""

from __future__ import annotations


class Seal:
    """The marks of one job."""

    def __init__(self, taken: str) -> None:
        """``taken`` is text in which no mark may stand already."""
        self._taken = taken
        self._marks: dict[str, str] = {}

    def hide(self, secret: str) -> str:
        """The mark for a secret on one line; empty text has none to hide."""
        if secret and secret not in self._marks:
            mark, count = f"<SECRET{len(self._marks) + 1}>", 0
            while mark in self._taken:
                count += 1
                mark = f"<SECRET{len(self._marks) + 1}-{count}>"  # nothing in it means more to sed
            self._marks[secret] = mark
        return self._marks.get(secret, "")

    def is_in(self, text: str) -> bool:
        """Whether a mark stands in the text."""
        return any(mark in text for mark in self._marks.values())

    def program(self) -> str:
        """What makes secrets of the marks again, line by line for sed; empty without any."""
        lines = (f"s|{mark}|{spelled(secret)}|g\n" for secret, mark in self._marks.items())
        return "".join(lines)


def spelled(secret: str) -> str:
    """The secret as it stands in the program."""
    return secret.replace("\\", "\\\\").replace("|", "\\|").replace("&", "\\&")

"""Text that breaks what does not expect it, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

_NO_SURROGATES = st.characters(exclude_categories=["Cs"], exclude_characters="\0")

ANY_TEXT = st.text(_NO_SURROGATES)
"""Everything that a bash word can hold."""

SHELL_TEXT = st.text(st.sampled_from(list("'\"\\$`!#&|;<>(){}[]*?~^%=-\n\r\t\x01\x1b\x7f aé✓😀\u2028\u0085")))
"""Text of the characters that bash does something with."""

HOSTILE_TEXT = ANY_TEXT | SHELL_TEXT

ONE_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]))
"""Text without control characters and line separators."""

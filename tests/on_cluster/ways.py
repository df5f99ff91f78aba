"""Which interfaces a test is about, where it is not about ``cli`` and ``http`` alike."""

from __future__ import annotations

import pytest

only_cli = pytest.mark.parametrize("interface", ["cli"], indirect=True)
"""For what only submitting over SSH as the mapped user has; each test says what that is."""

only_http = pytest.mark.parametrize("interface", ["http"], indirect=True)
"""For what only slurmrestd has."""

also_managed = pytest.mark.parametrize("interface", ["cli", "http", "http-managed"], indirect=True)
"""For what does not need a job's files: slurmrestd alone can do it too."""

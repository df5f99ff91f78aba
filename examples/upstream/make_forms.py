"""Write the example forms, the ``args`` documents of POST /submit, from the scripts beside them.

Run it after a change of a script: ``python3 examples/upstream/make_forms.py``.
"""

import json
from base64 import b64encode
from pathlib import Path

import jwt

HERE = Path(__file__).parent

FORMS: dict[str, dict[str, object]] = {
    "hello": {"name": "20220420201746-IZP8L-hello-demo_s1", "number": 1, "nodes": 1},
    "two-nodes": {"name": "20220420201747-A0B1C-solver-x-doe_s1", "number": 2, "nodes": 2},
    "everything": {
        "name": "20220420201748-Z9Y8X-app-with-all-reverse_engineer-demo_s1",
        "number": 3,
        "nodes": 2,
        "held": True,
    },
    "fails": {"name": "20220420201749-QQQQQ-fails-y-doe_s1", "number": 4, "nodes": 1},
    "containers": {"name": "20220420201750-C0D1E-containers-demo_s1", "number": 5, "nodes": 2},
}
BEARER = jwt.encode({"email": "kirby@example.com"}, None, algorithm="none")
"""A token without a signature: an example holds no key."""


def form(name: str) -> dict[str, object]:
    """The args document of the example of that name."""
    script = (HERE / "scripts" / f"{name}.sh").read_bytes()
    return {
        **FORMS[name],
        "hpc_script": {"singularity": b64encode(script).decode("ascii")},
        "bearer": BEARER,
    }


if __name__ == "__main__":
    for example in FORMS:
        (HERE / f"{example}.json").write_text(json.dumps(form(example), indent=2) + "\n", encoding="utf-8")

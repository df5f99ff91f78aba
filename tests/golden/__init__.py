"""Input and expected batch script side by side.

``<case>.yaml`` holds what the upstream sends, with its script as plain text, and the settings that
differ from the defaults; ``<case>.sh`` is the batch script that must come of it, secrets masked.
``native-<case>.yaml`` holds the spec of a native job in its place, and the registry logins that it may name.
The forms in ``examples/upstream`` are cases too: their scripts are ``<example>.sh`` here.

``payloads/<case>.<version>.json`` is the payload that takes the script to slurmrestd, without repeating it.

After a change that is meant: ``python3 -m tests.golden.rewrite``, and read the difference.
"""

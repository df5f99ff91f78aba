"""What the downstream promises, tried with harm: ``./run torture``. README.md says what each round shows."""

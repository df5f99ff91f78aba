"""Slurm's language: commands, states, host lists. Strings and structures, no I/O."""

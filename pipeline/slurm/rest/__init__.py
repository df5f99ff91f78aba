"""slurmrestd's language: requests, the reading of their replies, and its refusals. No I/O."""

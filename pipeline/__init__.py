"""A downstream for HPC portals: jobs come in as JSON and leave as Slurm batch scripts.

Imports point downwards only: doors (``cli``, ``api``), use cases (``downstream``, ``tracker``),
``connectors``, languages (``render``, ``intake``, ``slurm``, ``shell``), ``transport``, ground
(``identity``, ``job``, ``settings``, ``errors``). ``docs/architecture.md`` draws the house.
"""

__version__ = "0.1.0"

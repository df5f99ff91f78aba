"""A Slurm cluster: how jobs are sent and how they are managed are chosen apart from each other."""

from pipeline.connectors.slurm.choice import slurm_connector

__all__ = ["slurm_connector"]

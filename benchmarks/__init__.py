"""Measurements on the throwaway cluster: ``./run bench``."""

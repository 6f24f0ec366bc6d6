"""Measurements to contrasts."""

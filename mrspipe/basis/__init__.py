"""Spin systems and a pulse sequence to a basis set."""

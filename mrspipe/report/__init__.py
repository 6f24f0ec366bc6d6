"""Finished results to pages people want to read; nothing is computed here."""

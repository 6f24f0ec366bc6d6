"""Raw transients to one clean signal."""

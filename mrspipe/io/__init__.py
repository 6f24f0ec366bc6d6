"""Files to core objects and back, nothing else."""

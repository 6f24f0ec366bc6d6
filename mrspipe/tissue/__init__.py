"""Anatomy and voxel position to tissue fractions."""

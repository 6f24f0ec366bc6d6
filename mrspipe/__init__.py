"""From a folder of 1H magnetic resonance spectroscopy scans to a trustworthy group result."""

__version__ = "0.1.0"

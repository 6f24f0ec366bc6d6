"""Synthetic spectra with known truth that are not made by the fit's model, and how well the fit recovers them."""

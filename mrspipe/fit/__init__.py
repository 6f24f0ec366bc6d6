"""A signal and a basis set to amplitudes with their covariance."""

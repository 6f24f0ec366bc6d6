"""The order of the stages, for one scan, for a study, and for spectra without a study."""

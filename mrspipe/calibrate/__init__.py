"""Many synthetic cohorts through the analysis: false positives, power, coverage and bias of every test."""

"""What R found in two data sets, and the same by mrspipe: one function for each analysis."""

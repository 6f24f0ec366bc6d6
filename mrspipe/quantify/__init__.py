"""From amplitudes to concentrations, each with its standard error and where that comes from."""

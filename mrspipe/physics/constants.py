"""Physical constants and reference chemical shifts, each with its unit and source.

Shifts are of 1H at 37 C and pH 7, against DSS at 0 ppm.
"""

WATER_PPM = 4.65
"""Chemical shift of water in the brain. Unit: ppm.

The usual reference of spectrometer software at 37 C; water moves by about -0.01 ppm per K
(Hindman 1966, doi 10.1063/1.1726676).
"""

NAA_PPM = 2.01
"""Chemical shift of the N-acetyl methyl singlet of NAA (2.008). Unit: ppm.

Govindaraju et al. 2000, doi 10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V.
"""

CR_PPM = 3.03
"""Chemical shift of the methyl singlet of creatine (3.027). Unit: ppm. Source: as `NAA_PPM`."""

METHYL_PROTONS = 3
"""Number of protons of a methyl group, such as the singlets of NAA at 2.01 ppm and of creatine at 3.03 ppm."""

WATER_PROTONS = 2
"""Number of protons of a water molecule."""

GAMMA_BAR_1H_HZ_PER_T = 42.577478518e6
"""Gyromagnetic ratio of the proton divided by 2 pi. Unit: Hz/T. CODATA 2018, doi 10.1103/RevModPhys.93.025010."""

PURE_WATER_MMOL_PER_KG = 55510.0
"""Molality of pure water. Unit: mmol/kg.

1 kg divided by the molar mass 18.015 g/mol; the value used in water referencing
(Near et al. 2021, doi 10.1002/nbm.4257).
"""

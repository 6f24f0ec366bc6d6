"""How the synthetic spectra are measured: settings of the voxel, the scanner, the line shape and the artefacts.

The defaults are those of the cocaine study as far as it is known; each carries its origin.
"""

from typing import Annotated, Literal

from pydantic import Field

from mrspipe.physics.relaxation import DEFAULT_WATER_SET
from mrspipe.synth.origin import ASSUMED, Default, Sourced, Unit

# A sibling study of the same group, second hand: as coded in a database of published spectroscopy.
ADB13027 = "doi 10.1111/adb.13027, as coded in doi 10.1016/j.ab.2023.115227"
POSTER = "conference poster of Engeli 2021"

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
_SIBLING = Default("read", ADB13027)
_READ_ON_POSTER = Default("read", POSTER)
_AT_3_T = Default("derived", "gyromagnetic ratio of 1H, CODATA 2018", "42.58 MHz/T at 3 T")


class TissueSettings(Sourced):
    """Tissue of the voxel, as volume fractions."""

    gm_mean: Annotated[Fraction, Default("read", ADB13027, "controls 80.75 %")] = 0.8075
    """Mean grey-matter fraction."""
    gm_sd: Annotated[NonNegative, Default("read", ADB13027, "controls 5.89 %")] = 0.059
    """SD of the grey-matter fraction between subjects."""
    gm_within_sd: Annotated[float, Field(ge=0, le=0.025), ASSUMED] = 0.02
    """SD of the grey-matter fraction between sessions, from positioning."""
    csf_absent: Annotated[Fraction, ASSUMED] = 0.8
    """Probability that a subject's voxel holds no cerebrospinal fluid."""
    csf_mean: Annotated[NonNegative, ASSUMED] = 0.01
    """Mean fraction of cerebrospinal fluid where there is some (exponential, at most 0.05)."""


class LossSettings(Sourced):
    """What goes wrong in a study."""

    technical: Annotated[Fraction, ASSUMED] = 0.0
    """Probability that a scan was not acquired."""
    poor_quality: Annotated[Fraction, ASSUMED] = 0.0
    """Probability that a scan is unusable: poor shim and low signal-to-noise ratio."""


class QualitySettings(Sourced):
    """Signal-to-noise ratio (SNR) and line width of the combined spectrum."""

    snr_mean: Annotated[Positive, _READ_ON_POSTER] = 17.5
    """Mean SNR by LCModel's definition: largest peak over twice the SD of the residual."""
    snr_sd: Annotated[NonNegative, ASSUMED] = 3.5
    """SD of the SNR between scans."""
    snr_min: Annotated[Positive, ASSUMED] = 6.0
    """Smallest SNR of a scan that is not meant to be unusable."""
    fwhm_mean_hz: Annotated[Positive, Unit("Hz"), _READ_ON_POSTER] = 6.91
    """Mean full width at half maximum (FWHM) of the creatine line, in Hz."""
    fwhm_sd_hz: Annotated[NonNegative, Unit("Hz"), ASSUMED] = 1.1
    """SD of the FWHM between scans, in Hz."""
    fwhm_range_hz: Annotated[tuple[Positive, Positive], Unit("Hz"), ASSUMED] = (4.5, 14.0)
    """Smallest and largest FWHM of a scan that is not meant to be unusable, in Hz."""
    snr_fwhm_r: Annotated[float, Field(gt=-1, lt=1), ASSUMED] = -0.4
    """Correlation of SNR and FWHM."""
    poor_snr: Annotated[Positive, ASSUMED] = 4.0
    """SNR of an unusable scan."""
    poor_fwhm_hz: Annotated[Positive, Unit("Hz"), ASSUMED] = 18.0
    """FWHM of an unusable scan, in Hz."""


class MeasurementSettings(Sourced):
    """Sequence, sampling and receiver."""

    sequence: Literal["press", "slaser", "spin_echo"] = "press"
    """Localisation sequence."""
    echo_time_s: Annotated[Positive, Unit("s"), _SIBLING] = 0.032
    """Echo time, in s."""
    repetition_time_s: Annotated[Positive, Unit("s"), _SIBLING] = 2.5
    """Repetition time, in s."""
    field_t: Annotated[Positive, Unit("T"), Default("read", "doi 10.1038/s41380-020-0828-z")] = 3.0
    """Static field, in T."""
    spectrometer_hz: Annotated[Positive, Unit("Hz"), _AT_3_T] = 127.7e6
    """Resonance frequency of 1H, in Hz."""
    n_points: Annotated[int, Field(ge=64), ASSUMED] = 1024
    """Points of each free induction decay."""
    bandwidth_hz: Annotated[Positive, Unit("Hz"), _SIBLING] = 2000.0
    """Spectral width, in Hz."""
    n_transients: Annotated[Count, _SIBLING] = 512
    """Transients acquired in a scan."""
    blocks: Annotated[Count, ASSUMED] = 8
    """Averages that the file holds: each of ``n_transients / blocks`` transients."""
    coils: Annotated[Count, ASSUMED] = 1
    """Receive coils; their signals are left uncombined."""
    coil_noise_correlation: Annotated[float, Field(ge=0, lt=1), ASSUMED] = 0.0
    """Correlation of the noise of any two coils, assumed to be the same for all pairs."""
    cycling: bool = True
    """Metabolite cycling: water stays, metabolites change sign from shot to shot; false: water suppression, and a
    water reference beside the scan."""
    water_blocks: Annotated[Count, ASSUMED] = 2
    """Averages of the water reference (without metabolite cycling)."""
    voxel_mm: Annotated[tuple[Positive, Positive, Positive], Unit("mm"), Default("recalled")] = (9.4, 18.8, 8.4)
    """Voxel size, in mm."""
    voxel_centre_mm: Annotated[tuple[float, float, float], Unit("mm"), ASSUMED] = (-10.0, 10.0, -6.0)
    """Voxel centre in the coordinates of the T1-weighted image, in mm (left, front, below of the origin)."""
    relaxation: str = DEFAULT_WATER_SET
    """Set of water relaxation times that holds in this world."""
    gain_cv: Annotated[NonNegative, ASSUMED] = 0.0
    """Error of the water reference as a coefficient of variation: one factor for all metabolites of a scan."""
    image_voxel_mm: Annotated[Positive, Unit("mm"), ASSUMED] = 3.0
    """Voxel size of the T1-weighted image and the tissue maps, in mm."""


class LineshapeSettings(Sourced):
    """Line shape, macromolecules and baseline."""

    lorentz_hz: Annotated[NonNegative, Unit("Hz"), ASSUMED] = 0.8
    """Lorentzian width of all lines besides the one from each metabolite's T2, in Hz. The Gaussian width makes up the
    rest of the FWHM."""
    lorentz_sd_hz: Annotated[NonNegative, Unit("Hz"), ASSUMED] = 0.2
    """SD of it between scans, in Hz."""
    t2_widths: bool = True
    """Each metabolite has the width of its own T2; false: all have that of creatine."""
    mm_ratio: Annotated[NonNegative, ASSUMED] = 2.5
    """Area of the macromolecule line at 0.9 ppm, relative to that of one proton of total creatine."""
    mm_cv: Annotated[NonNegative, ASSUMED] = 0.08
    """Spread of all macromolecules together between scans, as a coefficient of variation."""
    mm_line_cv: Annotated[NonNegative, ASSUMED] = 0.08
    """Spread of each macromolecule line, as a coefficient of variation."""
    mm_list_shift_sd_ppm: Annotated[NonNegative, Unit("ppm"), ASSUMED] = 0.01
    """How far this world's macromolecule lines lie from those that the fit expects, in ppm; drawn once for a study."""
    mm_list_width_sd: Annotated[NonNegative, ASSUMED] = 0.1
    """The same for the natural logarithm of their widths."""
    mm_list_area_sd: Annotated[NonNegative, ASSUMED] = 0.2
    """The same for the natural logarithm of their areas."""
    baseline_sd: Annotated[NonNegative, ASSUMED] = 0.8
    """SD of the area of each broad baseline hump, relative to one proton of total creatine."""
    lipid_max: Annotated[NonNegative, ASSUMED] = 0.1
    """Largest area of the lipid line at 1.3 ppm, relative to one proton of total creatine."""
    shift_sd_ppm: Annotated[NonNegative, Unit("ppm"), ASSUMED] = 0.001
    """SD of each metabolite's own shift (temperature, pH), in ppm."""
    mm_scan_part: Annotated[Fraction, ASSUMED] = 1.0
    """Part of the SD of macromolecules and of own shifts that is drawn anew in every scan; the rest stays the same in
    all scans of a person. 1: scans have nothing in common; 0.3: they correlate by 1 - 0.3^2."""
    baseline_scan_part: Annotated[Fraction, ASSUMED] = 1.0
    """The same for the broad humps of the baseline."""


class ArtefactSettings(Sourced):
    """Imperfections of the transients."""

    offset_sd_hz: Annotated[NonNegative, Unit("Hz"), ASSUMED] = 2.0
    """SD of the frequency offset of a scan, in Hz."""
    phase_sd_deg: Annotated[NonNegative, Unit("degrees"), ASSUMED] = 30.0
    """SD of the receiver phase of a scan, in degrees."""
    drift_max_hz: Annotated[NonNegative, Unit("Hz"), ASSUMED] = 3.0
    """Largest linear drift over a scan, in Hz, upwards or downwards."""
    jitter_hz: Annotated[NonNegative, Unit("Hz"), ASSUMED] = 1.0
    """SD of the frequency of single stored transients, in Hz."""
    phase_jitter_deg: Annotated[NonNegative, Unit("degrees"), ASSUMED] = 8.0
    """SD of the phase of single stored transients, in degrees."""
    corrupted: Annotated[float, Field(ge=0, le=1), ASSUMED] = 0.0
    """Probability that motion spoils a stored transient."""
    eddy_max_deg: Annotated[NonNegative, Unit("degrees"), ASSUMED] = 20.0
    """Largest eddy-current phase at the start of the signal, in degrees, of either sign."""
    eddy_decay_s: Annotated[tuple[Positive, Positive], Unit("s"), ASSUMED] = (0.02, 0.1)
    """Shortest and longest decay time of the eddy-current phase, in s."""
    inversion_efficiency: Annotated[float, Field(ge=0.5, le=1), ASSUMED] = 1.0
    """Efficiency of the metabolites' inversion in metabolite cycling; below 1 the metabolites appear too small."""
    cycling_imbalance: Annotated[NonNegative, ASSUMED] = 0.003
    """Largest relative difference of the water amplitude between the two halves of metabolite cycling."""
    residual_water: Annotated[NonNegative, ASSUMED] = 3.0
    """Largest residual water after water suppression, relative to total NAA's methyl signal."""

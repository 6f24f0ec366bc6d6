"""How the synthetic spectra are measured: settings of the scanner, the line shape and the artefacts.

``read`` numbers: sequence, echo and repetition time, bandwidth and transients of the sibling study (doi
10.1111/adb.13027, as coded in doi 10.1016/j.ab.2023.115227); mean signal-to-noise ratio and line width from the
conference poster of Engeli 2021. The voxel size is recalled, the rest assumed.
"""

from typing import Annotated, Literal

from pydantic import Field

from mrspipe.physics.relaxation import DEFAULT_WATER_SET
from mrspipe.settings import Settings

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class QualitySettings(Settings):
    """Signal-to-noise ratio (SNR) and line width of the combined spectrum."""

    snr_mean: Positive = 17.5
    """Mean SNR by LCModel's definition: largest peak over twice the SD of the residual."""
    snr_sd: NonNegative = 3.5
    """SD of the SNR between scans."""
    snr_min: Positive = 6.0
    """Smallest SNR of a scan that is not meant to be unusable."""
    fwhm_mean_hz: Positive = 6.91
    """Mean full width at half maximum (FWHM) of the creatine line, in Hz."""
    fwhm_sd_hz: NonNegative = 1.1
    """SD of the FWHM between scans, in Hz."""
    fwhm_range_hz: tuple[Positive, Positive] = (4.5, 14.0)
    """Smallest and largest FWHM of a scan that is not meant to be unusable, in Hz."""
    snr_fwhm_r: Annotated[float, Field(gt=-1, lt=1)] = -0.4
    """Correlation of SNR and FWHM."""
    poor_snr: Positive = 4.0
    """SNR of an unusable scan."""
    poor_fwhm_hz: Positive = 18.0
    """FWHM of an unusable scan, in Hz."""


class MeasurementSettings(Settings):
    """Sequence, sampling and receiver."""

    sequence: Literal["press", "slaser", "spin_echo"] = "press"
    """Localisation sequence."""
    echo_time_s: Positive = 0.032
    """Echo time, in s."""
    repetition_time_s: Positive = 2.5
    """Repetition time, in s."""
    field_t: Positive = 3.0
    """Static field, in T."""
    spectrometer_hz: Positive = 127.7e6
    """Resonance frequency of 1H, in Hz."""
    n_points: Annotated[int, Field(ge=64)] = 1024
    """Points of each free induction decay."""
    bandwidth_hz: Positive = 2000.0
    """Spectral width, in Hz."""
    n_transients: Count = 512
    """Transients acquired in a scan."""
    blocks: Count = 8
    """Averages that the file holds: each of ``n_transients / blocks`` transients."""
    coils: Count = 1
    """Receive coils; their signals are left uncombined."""
    coil_noise_correlation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Correlation of the noise of any two coils, assumed to be the same for all pairs."""
    cycling: bool = True
    """Metabolite cycling: water stays, metabolites change sign from shot to shot; false: water suppression, and a
    water reference beside the scan."""
    water_blocks: Count = 2
    """Averages of the water reference (without metabolite cycling)."""
    voxel_mm: tuple[Positive, Positive, Positive] = (9.4, 18.8, 8.4)
    """Voxel size, in mm."""
    voxel_centre_mm: tuple[float, float, float] = (-10.0, 10.0, -6.0)
    """Voxel centre in the coordinates of the T1-weighted image, in mm (left, front, below of the origin)."""
    relaxation: str = DEFAULT_WATER_SET
    """Set of water relaxation times that holds in this world."""
    gain_cv: NonNegative = 0.0
    """Error of the water reference as a coefficient of variation: one factor for all metabolites of a scan."""
    image_voxel_mm: Positive = 3.0
    """Voxel size of the T1-weighted image and the tissue maps, in mm."""


class LineshapeSettings(Settings):
    """Line shape, macromolecules and baseline."""

    lorentz_hz: NonNegative = 0.8
    """Lorentzian width of all lines besides the one from each metabolite's T2, in Hz. The Gaussian width makes up the
    rest of the FWHM."""
    lorentz_sd_hz: NonNegative = 0.2
    """SD of it between scans, in Hz."""
    t2_widths: bool = True
    """Each metabolite has the width of its own T2; false: all have that of creatine."""
    mm_ratio: NonNegative = 2.5
    """Area of the macromolecule line at 0.9 ppm, relative to that of one proton of total creatine."""
    mm_cv: NonNegative = 0.08
    """Spread of all macromolecules together between scans, as a coefficient of variation."""
    mm_line_cv: NonNegative = 0.08
    """Spread of each macromolecule line, as a coefficient of variation."""
    mm_list_shift_sd_ppm: NonNegative = 0.01
    """How far this world's macromolecule lines lie from those that the fit expects, in ppm; drawn once for a study."""
    mm_list_width_sd: NonNegative = 0.1
    """The same for the natural logarithm of their widths."""
    mm_list_area_sd: NonNegative = 0.2
    """The same for the natural logarithm of their areas."""
    baseline_sd: NonNegative = 0.8
    """SD of the area of each broad baseline hump, relative to one proton of total creatine."""
    lipid_max: NonNegative = 0.1
    """Largest area of the lipid line at 1.3 ppm, relative to one proton of total creatine."""
    shift_sd_ppm: NonNegative = 0.001
    """SD of each metabolite's own shift (temperature, pH), in ppm."""


class ArtefactSettings(Settings):
    """Imperfections of the transients."""

    offset_sd_hz: NonNegative = 2.0
    """SD of the frequency offset of a scan, in Hz."""
    phase_sd_deg: NonNegative = 30.0
    """SD of the receiver phase of a scan, in degrees."""
    drift_max_hz: NonNegative = 3.0
    """Largest linear drift over a scan, in Hz, upwards or downwards."""
    jitter_hz: NonNegative = 1.0
    """SD of the frequency of single stored transients, in Hz."""
    phase_jitter_deg: NonNegative = 8.0
    """SD of the phase of single stored transients, in degrees."""
    corrupted: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that motion spoils a stored transient."""
    eddy_max_deg: NonNegative = 20.0
    """Largest eddy-current phase at the start of the signal, in degrees, of either sign."""
    eddy_decay_s: tuple[Positive, Positive] = (0.02, 0.1)
    """Shortest and longest decay time of the eddy-current phase, in s."""
    inversion_efficiency: Annotated[float, Field(ge=0.5, le=1)] = 1.0
    """Efficiency of the metabolites' inversion in metabolite cycling; below 1 the metabolites appear too small."""
    cycling_imbalance: NonNegative = 0.003
    """Largest relative difference of the water amplitude between the two halves of metabolite cycling."""
    residual_water: NonNegative = 3.0
    """Largest residual water after water suppression, relative to total NAA's methyl signal."""

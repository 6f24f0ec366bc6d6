"""What is wrong or doubtful about one scan, told from its acquisition and its samples."""

from collections.abc import Iterator

import numpy as np

from mrspipe.checks.catalogue import CheckSettings, Finding
from mrspipe.checks.pattern import Match, Pattern, amplitude, pattern_of
from mrspipe.core.errors import AnalysisError
from mrspipe.core.signal import Scan, Signal
from mrspipe.physics.constants import GAMMA_BAR_1H_HZ_PER_T

# A repetition time below 0.1 s leaves no time to sample an FID, an echo time below 0.1 ms none for a pulse, in s.
_SMALLEST_REPETITION_TIME_S = 0.1
_SMALLEST_ECHO_TIME_S = 1e-4
# Metabolites and water lie within 4 ppm; 1000 ppm are 128 kHz at 3 T, more than receivers sample.
_WIDTH_RANGE_PPM = (4.0, 1000.0)
# Magnets sold as 3 T have 2.89 to 3.0 T.
_FIELD_TOLERANCE = 0.08
# Scan and reference are of one magnet and one session when their frequencies agree within this.
_FREQUENCY_TOLERANCE = 0.01
_WIDTH_TOLERANCE = 1e-3
# A spectrum is the brain's when it is this similar to the lines (real ones: 0.8 to 0.9, water alone: below 0.4) ...
_LIKE = 0.6
# ... this much above the noise; its mirror image stays below the other likeness (real ones: below 0.5).
_STRONG = 10.0
_UNLIKE = 0.5
# Mirrored lines are seen from this on; in 1500 spectra of noise no likeness above 0.55 was also above 2 here.
_VISIBLE = 2.5
# Unsuppressed water is 1000 to 2000 times as high as NAA, suppressed water up to about 120 times.
_LEAST_WATER_OVER_NAA = 300.0
# Unsuppressed water is larger than everything in a suppressed scan; the margin is for equal, unsuppressed scans.
_REFERENCE_MARGIN = 1.5
_LARGEST_OFFSET_PPM = 0.15


def scan_findings(scan: Scan) -> tuple[Finding, ...]:
    """Check a scan as it was read.

    Parameters
    ----------
    scan : Scan
        Not preprocessed.

    Returns
    -------
    tuple of Finding
        In the order they were looked for; what is refused and what is only told.
    """
    return tuple(_findings(scan))


def refuse(scan: Scan, label: str, settings: CheckSettings) -> None:
    """Refuse a scan that must not be analysed.

    Parameters
    ----------
    scan : Scan
    label : str
        Its name in ``checks.accept``.
    settings : CheckSettings

    Raises
    ------
    AnalysisError
        With the code of the first problem that the settings do not override.
    """
    for finding in scan_findings(scan):
        if finding.refuses and not settings.accepts(finding.code, label):
            raise AnalysisError(finding.text, cure=finding.check.cure, code=finding.code)


def _findings(scan: Scan) -> Iterator[Finding]:
    if not scan.metabolites.samples.any():
        yield Finding("no-signal", "All samples are zero.")
        return
    yield from _acquisition(scan.metabolites)
    pattern = pattern_of(scan.metabolites)
    yield from _spectrum(pattern)
    if scan.water is not None:
        yield from _same_measurement(scan.metabolites, scan.water)
        yield from _water(scan.metabolites, scan.water, pattern)


def _acquisition(signal: Signal) -> Iterator[Finding]:
    acquisition, axis = signal.acquisition, signal.axis
    echo_s, repetition_s = acquisition.echo_time_s, acquisition.repetition_time_s
    if echo_s is not None and 0 < echo_s < _SMALLEST_ECHO_TIME_S:
        yield Finding("echo-time-small", f"The echo time is {1e3 * echo_s:g} ms.")
    if repetition_s is not None and repetition_s < max(_SMALLEST_REPETITION_TIME_S, echo_s or 0.0):
        yield Finding("repetition-time-small", f"The repetition time is {1e3 * repetition_s:g} ms.")
    width_ppm = axis.bandwidth_hz / axis.hz_per_ppm
    if not _WIDTH_RANGE_PPM[0] <= width_ppm <= _WIDTH_RANGE_PPM[1]:
        yield Finding("bandwidth", f"The spectral width is {axis.bandwidth_hz:g} Hz, which is {width_ppm:.3g} ppm.")
    field_t = acquisition.field_t
    if field_t is not None and abs(axis.spectrometer_hz / (field_t * GAMMA_BAR_1H_HZ_PER_T) - 1) > _FIELD_TOLERANCE:
        yield Finding("field-frequency", f"{axis.hz_per_ppm:g} MHz is not the frequency of 1H at {field_t:g} T.")


def _is_brain(match: Match) -> bool:
    return match.likeness > _LIKE and match.strength > _STRONG


def _spectrum(pattern: Pattern) -> Iterator[Finding]:
    mirrored = pattern.mirrored
    if mirrored.likeness > _LIKE and mirrored.strength > _VISIBLE and pattern.straight.likeness < _UNLIKE:
        yield Finding(
            "conjugated",
            "The lines of NAA, creatine and choline are mirrored about the centre: their likeness to the brain's is "
            f"{mirrored.likeness:.2f} mirrored and {pattern.straight.likeness:.2f} as stored.",
        )
    if _is_brain(pattern.straight) and abs(pattern.straight.shift_ppm) > _LARGEST_OFFSET_PPM:
        yield Finding("ppm-offset", f"The spectrum is {pattern.straight.shift_ppm:+.2f} ppm off.")


def _same_measurement(scan: Signal, water: Signal) -> Iterator[Finding]:
    """Whether scan and reference are of one magnet, one voxel and one sampling."""
    if abs(water.axis.spectrometer_hz / scan.axis.spectrometer_hz - 1) > _FREQUENCY_TOLERANCE:
        values = f"{scan.axis.hz_per_ppm:g} MHz and that of its reference {water.axis.hz_per_ppm:g} MHz"
        yield Finding("reference-field", f"The frequency of the scan is {values}.")
    if scan.affine is not None and water.affine is not None:
        distance = np.linalg.norm(scan.affine[:3, 3] - water.affine[:3, 3])
        edge = np.linalg.norm(scan.affine[:3, :3], axis=0).min()
        if distance > edge / 2:
            yield Finding("reference-voxel", f"The water reference was measured {distance:.0f} mm from the scan.")
    if abs(water.axis.bandwidth_hz / scan.axis.bandwidth_hz - 1) > _WIDTH_TOLERANCE:
        values = f"{scan.axis.bandwidth_hz:g} Hz and that of its reference {water.axis.bandwidth_hz:g} Hz"
        yield Finding("reference-bandwidth", f"The spectral width of the scan is {values}.")
    if water.axis.n_points != scan.axis.n_points:
        values = f"{scan.axis.n_points} points and its reference {water.axis.n_points}"
        yield Finding("reference-points", f"The scan has {values}.")


def _water(scan: Signal, water: Signal, pattern: Pattern) -> Iterator[Finding]:
    """Whether the reference is unsuppressed water, and the scan is not."""
    if not water.samples.any():
        yield Finding("reference-small", "All samples of the water reference are zero.")
        return
    of_water = pattern_of(water)
    shows_metabolites = _is_brain(of_water.straight) or _is_brain(of_water.mirrored)
    times = of_water.water_height / max(of_water.straight.height, of_water.mirrored.height, 1e-300)
    comparable = "cycle" not in scan.dims and scan.size("coil") == water.size("coil")
    ratio = amplitude(scan) / amplitude(water) if comparable else 0.0
    if ratio > _REFERENCE_MARGIN and (shows_metabolites or not _is_brain(pattern.straight)):
        yield Finding("swapped", f"The scan is {ratio:.3g} times as large as its water reference.")
    elif shows_metabolites and times < _LEAST_WATER_OVER_NAA:
        yield Finding("reference-suppressed", f"In the reference, water is only {times:.3g} times as high as NAA.")
    elif ratio > _REFERENCE_MARGIN:
        yield Finding("reference-small", f"The scan is {ratio:.3g} times as large as its water reference.")
    if water.acquisition.water_suppressed:
        yield Finding("reference-flag", "The header or sidecar of the water reference says that it is suppressed.")

from dataclasses import replace

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.results import FitResult, Recovery, TissueFractions
from mrspipe.core.signal import Acquisition, ProcessingStep, Scan, ScanKey, Signal
from mrspipe.qc import QcSettings, assess, lcmodel_signal_to_noise, signal_to_noise, water_fwhm_hz

AXIS = SpectralAxis(2048, 1 / 2000, 127.7e6, 4.65)
PPM = np.linspace(0.2, 4.2, 801)


def made_fit(height=100.0, noise_sd=1.0, misfit=1.0, status="converged", crlb=0.02, se=0.02, **nuisance):
    """One line at 2.01 ppm on a constant baseline of 10; residual of SD ``misfit`` from a seed."""
    line = height / (1 + ((PPM - 2.01) / 0.02) ** 2)
    baseline = np.full_like(PPM, 10.0)
    fit = line + baseline
    noise = np.random.default_rng(1).standard_normal(PPM.size)
    noise = misfit * (noise - noise.mean()) / noise.std()
    names = ("NAA", "Cr", "Glu", "Gln", "GPC")
    amplitudes = np.ones(5)
    bound, covariance = (np.diag((size * amplitudes) ** 2) for size in (crlb, se))
    shared = {"shift_hz": 1.5, "lorentz_hz": 3.0, "gauss_hz": 4.0, "baseline_ed_per_ppm": 3.0} | nuisance
    return FitResult(
        names,
        amplitudes,
        covariance,
        bound,
        np.zeros(5),
        shared,
        PPM,
        fit + noise,
        fit,
        baseline,
        np.zeros_like(PPM),
        np.zeros((5, PPM.size)),
        noise_sd,
        1.0,
        status,
    )


def made_scan(water=None, tissue=None, history=(), n_transients=64):
    t = AXIS.time_s
    fid = np.exp((2j * np.pi * AXIS.offset_hz(2.01) - 15.0) * t)
    acquisition = Acquisition(echo_time_s=0.03, n_transients=n_transients)
    signal = Signal(fid, ("time",), AXIS, acquisition, tuple(history))
    return Scan(ScanKey("01"), signal, water, tissue)


def made_water(lorentz_hz=0.0, gauss_hz=0.0):
    t = AXIS.time_s
    decay = np.exp(-np.pi * lorentz_hz * t - (np.pi * gauss_hz * t) ** 2 / (4 * np.log(2)))
    return Signal(1e4 * decay * np.exp(2j * np.pi * 7.0 * t + 1j), ("time",), AXIS)


def test_a_good_scan_is_good_without_a_reason():
    report = assess(made_scan(), made_fit(), QcSettings())
    assert report.verdict == "good"
    assert report.reasons == ()


def test_the_signal_to_noise_ratio_is_height_over_noise():
    fit = made_fit(height=50.0, noise_sd=2.0, misfit=1e-6)
    assert signal_to_noise(fit) == pytest.approx(25.0, rel=1e-3)


def test_the_ratio_of_lcmodel_has_twice_the_residual_below():
    assert lcmodel_signal_to_noise(made_fit(height=50.0, misfit=2.0)) == pytest.approx(12.5, rel=1e-3)


def test_the_line_width_is_that_of_the_voigt_line():
    report = assess(made_scan(), made_fit(lorentz_hz=3.0, gauss_hz=4.0), QcSettings())
    # Olivero and Longbothum 1977: 0.5346 * 3 + sqrt(0.2166 * 9 + 16).
    assert report.metric("fwhm_hz") == pytest.approx(5.8405, abs=1e-3)
    assert report.metric("fwhm_ppm") == pytest.approx(5.8405 / 127.7, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "stalled"}, "did not converge (stalled)"),
        ({"gauss_hz": 30.0}, "ppm broad"),
        ({"height": 4.0, "misfit": 0.1}, "signal-to-noise"),
        ({"noise_sd": 0.0}, "signal-to-noise"),
    ],
)
def test_what_makes_a_scan_unusable_is_said(changes, reason):
    report = assess(made_scan(), made_fit(**changes), QcSettings())
    assert report.verdict == "unusable"
    assert any(reason in text for text in report.reasons)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gauss_hz": 13.5}, "line width"),
        ({"height": 9.0, "misfit": 0.1}, "signal-to-noise"),
        ({"misfit": 5.0}, "residual"),
        ({"crlb": 0.3}, "bound of Glu"),
    ],
)
def test_what_makes_a_scan_doubtful_is_said_with_its_limit(changes, reason):
    report = assess(made_scan(), made_fit(**changes), QcSettings())
    assert report.verdict == "doubtful"
    assert any(reason in text and "expected" in text for text in report.reasons)


def test_a_fit_that_stopped_at_a_limit_makes_a_scan_doubtful():
    stopped = replace(made_fit(), at_limit=("flexibility of the baseline",))
    report = assess(made_scan(), stopped, QcSettings())
    assert report.verdict == "doubtful"
    assert report.reasons == ("the fit stopped at a limit: flexibility of the baseline",)
    assert assess(made_scan(), stopped, QcSettings(doubtful_at_limit=False)).verdict == "good"


def test_creatine_that_is_hardly_determined_makes_a_scan_unusable():
    # It is the denominator of every ratio, and it is never low in a brain.
    report = assess(made_scan(), made_fit(se=0.3), QcSettings())
    assert report.verdict == "unusable"
    assert report.reasons == ("the standard error of total creatine is 30 %, more than 25 %",)


def test_a_large_relative_bound_alone_never_makes_a_scan_unusable():
    # Kreis 2016: a relative cut removes low concentrations.
    assert assess(made_scan(), made_fit(crlb=5.0), QcSettings()).verdict == "doubtful"


def test_bounds_of_sums_are_those_of_the_sum():
    report = assess(made_scan(), made_fit(crlb=0.02), QcSettings())
    assert report.metric("crlb_glu_pct") == pytest.approx(2.0)
    assert report.metric("crlb_glx_pct") == pytest.approx(100 * np.hypot(0.02, 0.02) / 2)


def test_what_was_not_measured_is_nan_and_is_not_judged():
    fit = made_fit()
    only_naa = replace(
        fit,
        names=("NAA",),
        amplitudes=[1.0],
        covariance=[[1e-4]],
        crlb_covariance=[[1e-4]],
        components=fit.components[:1],
    )
    report = assess(made_scan(n_transients=None), only_naa, QcSettings())
    assert report.verdict == "good"
    for name in ("crlb_glu_pct", "water_fwhm_hz", "n_transients_used", "gm_fraction"):
        assert np.isnan(report.metric(name))


def test_tissue_and_shift_are_reported():
    report = assess(made_scan(tissue=TissueFractions(0.7, 0.2, 0.1)), made_fit(), QcSettings())
    assert (report.metric("gm_fraction"), report.metric("csf_fraction")) == (0.7, 0.1)
    assert report.metric("shift_hz") == 1.5
    assert report.metric("baseline_ed_per_ppm") == 3.0


def test_transients_are_counted_from_the_history_or_else_the_header():
    step = ProcessingStep("average transients", {"n_averaged": 60})
    assert assess(made_scan(history=[step]), made_fit(), QcSettings()).metric("n_transients_used") == 60
    assert assess(made_scan(), made_fit(), QcSettings()).metric("n_transients_used") == 64


def test_residual_water_is_compared_with_the_largest_metabolite_peak():
    scan = made_scan()
    t = AXIS.time_s
    water = 0.5 * np.exp((2j * np.pi * AXIS.offset_hz(4.65) - 15.0) * t)
    wet = replace(scan, metabolites=replace(scan.metabolites, samples=scan.metabolites.fid + water))
    assert assess(wet, made_fit(), QcSettings()).metric("residual_water_ratio") == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("lorentz_hz", "gauss_hz"), [(6.0, 0.0), (0.0, 8.0)])
def test_the_width_of_a_water_line_is_that_of_its_decay(lorentz_hz, gauss_hz):
    assert water_fwhm_hz(made_water(lorentz_hz, gauss_hz)) == pytest.approx(lorentz_hz + gauss_hz, rel=0.01)


@pytest.mark.parametrize("creatine", [0.0, -1.0, 0.01])
def test_a_scan_without_measurable_creatine_is_unusable_and_says_it_in_words(creatine):
    fit = made_fit(se=0.02)
    amplitudes = fit.amplitudes.copy()
    amplitudes[fit.names.index("Cr")] = creatine
    report = assess(made_scan(), replace(fit, amplitudes=amplitudes), QcSettings())
    assert report.verdict == "unusable"
    assert "total creatine is not measurable in this scan" in report.reasons
    assert "inf" not in " ".join(report.reasons)


def test_a_bound_that_is_not_known_is_not_zero():
    report = assess(made_scan(), made_fit(crlb=float("nan")), QcSettings())
    assert np.isnan(report.metric("crlb_glu_pct"))


def test_without_an_addition_there_are_no_columns_of_it():
    report = assess(made_scan(), made_fit(), QcSettings())
    assert not any(metric.name.startswith("injection") for metric in report.metrics)


@pytest.mark.parametrize(("slope", "why"), [(0.8, "priors or baseline"), (1.2, "other signal")])
def test_an_addition_that_does_not_come_back_makes_a_scan_doubtful_and_says_what_to_do(slope, why):
    report = assess(made_scan(), made_fit(), QcSettings(), Recovery("Glu", slope, 0.01, 0.5))
    assert report.verdict == "doubtful"
    (reason,) = report.reasons
    assert f"{100 * slope:.0f} % came back" in reason
    assert why in reason
    assert "do not compare Glu" in reason
    assert report.metric("injection_slope") == slope
    wider = QcSettings(doubtful_beyond_injection_slope=0.25)
    assert assess(made_scan(), made_fit(), wider, Recovery("Glu", slope, 0.01, 0.5)).verdict == "good"


def test_an_addition_that_could_not_be_measured_is_a_doubt_with_its_reason():
    report = assess(made_scan(), made_fit(), QcSettings(), Recovery("Glu", reason="the fit did not converge"))
    assert report.verdict == "doubtful"
    assert report.reasons == ("how much of added Glu comes back could not be measured: the fit did not converge",)
    assert np.isnan(report.metric("injection_slope"))

import re
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.results import FitResult, TissueFractions
from mrspipe.core.signal import Acquisition, Signal
from mrspipe.quantify.levels import concentrations
from mrspipe.quantify.settings import QuantifySettings
from mrspipe.quantify.water import water_amplitude

AXIS = SpectralAxis(2048, 1 / 4000, 127.7e6, 4.65)
PRESS = Acquisition(sequence="press", echo_time_s=0.030, repetition_time_s=2.0)
NO_TISSUE_ERROR = {"t1_sd_fraction": 0, "t2_sd_fraction": 0, "water_content_sd_fraction": 0, "tissue_fraction_sd": 0}


def made_fit(amplitudes, covariance=None, proton_amplitude=1.0, crlb=None):
    names = tuple(amplitudes)
    n = len(names)
    covariance = np.zeros((n, n)) if covariance is None else covariance
    spectra = [np.zeros(4)] * 5
    return FitResult(
        names,
        np.array(list(amplitudes.values()), dtype=float),
        covariance,
        covariance if crlb is None else crlb,
        np.zeros(n),
        {},
        *spectra,
        np.zeros((n, 4)),
        1.0,
        proton_amplitude,
    )


def made_water(amplitude, acquisition=PRESS, axis=AXIS, noise_sd=0.0, rng=None, lorentz_hz=6.0, gauss_hz=0.0):
    t = axis.time_s
    decay = np.exp(-np.pi * lorentz_hz * t - (np.pi * gauss_hz * t) ** 2 / (4 * np.log(2)))
    fid = amplitude * decay * np.exp(2j * np.pi * 3.0 * t + 0.4j)
    if rng is not None:
        fid = fid + noise_sd * (rng.standard_normal(t.size) + 1j * rng.standard_normal(t.size))
    return Signal(fid, ("time",), axis, acquisition)


def find(levels, metabolite, quantity):
    return next(level for level in levels if (level.metabolite, level.quantity) == (metabolite, quantity))


# The Fitting Challenge 2016 states for its spectra (GM 60 %, WM 40 %, water T2 110 and 80 ms, metabolite T2 160 ms,
# TR much longer than T1, TE 30 ms): visible water 29697 mM after relaxation, metabolite correction 1.206.
CHALLENGE = QuantifySettings(
    tissue_fractions={"GM": 0.6, "WM": 0.4},
    water_t2_s={"GM": 0.110, "WM": 0.080},
    metabolite_t2_s=0.160,
    assume_long_tr=True,
)


def test_the_fitting_challenge_constants_come_out_of_the_formulas():
    # One proton of water per proton of the metabolite: the concentration is the visible water times the correction.
    water = made_water(2.0)
    found = find(concentrations(made_fit({"Cr": 1.0}), water, None, PRESS, CHALLENGE), "Cr", "molar")
    assert found.value == pytest.approx(29697 * 1.206, rel=1e-3)


def test_creatine_of_10_mm_is_found_as_10_mm():
    signal = 10 / (29697 * 1.206)
    fit = made_fit({"Cr": 7.0 * signal}, proton_amplitude=0.5)
    water = made_water(2 * 0.5 * 7.0)
    assert find(concentrations(fit, water, None, PRESS, CHALLENGE), "Cr", "molar").value == pytest.approx(10, rel=1e-3)


def forward(tissue, concentration, per_tissue_water):
    """Signals of water (molecule) and metabolite (proton) from relaxation, written out anew with Gannet's constants."""

    def left(te, tr, t1, t2):
        return np.exp(-te / t2) * (1 - np.exp(-tr / t1))

    water = 0.0
    for part, content, t1, t2 in zip(
        (tissue.gm, tissue.wm, tissue.csf),
        (0.78, 0.65, 0.97),
        (1.331, 0.832, 3.817),
        (0.110, 0.0792, 0.503),
        strict=True,
    ):
        water += part * content * 55510 * left(0.03, 2.0, t1, t2)
    # The metabolite is at the same concentration in grey and white matter, and absent from CSF.
    glu = 0.0
    parts = ((tissue.gm, 0.78, 1.270, 0.1285), (tissue.wm, 0.65, 1.170, 0.124))
    amount = concentration
    if per_tissue_water:
        amount = concentration * sum(p * d for p, d, _, _ in parts) / (tissue.gm + tissue.wm)
    for part, _, t1, t2 in parts:
        glu += part * amount * left(0.03, 2.0, t1, t2)
    return 2 * water, glu


@pytest.mark.parametrize("quantity", ["molar", "molal"])
@pytest.mark.parametrize("fractions", [(1, 0, 0), (0, 1, 0), (0.6, 0.3, 0.1), (0.3, 0.2, 0.5)])
def test_the_true_tissue_concentration_is_found_whatever_the_fractions(quantity, fractions):
    tissue = TissueFractions(*fractions)
    water, glu = forward(tissue, 9.3, per_tissue_water=quantity == "molal")
    levels = concentrations(made_fit({"Glu": glu}), made_water(water), tissue, PRESS, QuantifySettings())
    assert find(levels, "Glu", quantity).value == pytest.approx(9.3, rel=1e-4)


def test_institutional_and_alpha_values_differ_by_their_definitions():
    tissue = TissueFractions(0.6, 0.3, 0.1)
    settings = QuantifySettings(quantities=("molar", "institutional", "alpha_molar"), alpha=0.5)
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(1e4), tissue, PRESS, settings)
    molar, institutional, alpha = (find(levels, "Glu", q).value for q in settings.quantities)
    assert institutional == pytest.approx(molar * 0.9)
    assert alpha == pytest.approx(institutional / (0.6 + 0.5 * 0.3))


def test_alpha_is_not_applied_where_it_is_not_known():
    settings = QuantifySettings(quantities=("alpha_molar",))
    levels = concentrations(made_fit({"Ins": 1.0}), made_water(1e4), TissueFractions(1, 0, 0), PRESS, settings)
    assert np.isnan(levels[0].value)
    assert "alpha" in levels[0].reason


def test_both_water_sets_give_what_their_constants_imply():
    tissue = TissueFractions(1, 0, 0)
    values = [
        find(
            concentrations(made_fit({"Glu": 1.0}), made_water(1e4), tissue, PRESS, QuantifySettings(relaxation=name)),
            "Glu",
            "molar",
        ).value
        for name in ("gannet", "fsl")
    ]
    relaxed = [np.exp(-0.03 / t2) * (1 - np.exp(-2.0 / t1)) for t1, t2 in ((1.331, 0.110), (1.500, 0.088))]
    assert values[0] / values[1] == pytest.approx(relaxed[0] / relaxed[1])


def test_a_stated_water_concentration_replaces_that_of_the_tissues():
    tissue = TissueFractions(1, 0, 0)
    levels = [
        concentrations(made_fit({"Glu": 1.0}), made_water(1e4), tissue, PRESS, settings)
        for settings in (QuantifySettings(), QuantifySettings(water_concentration_mmol=2 * 0.78 * 55510))
    ]
    assert find(levels[1], "Glu", "molar").value == pytest.approx(2 * find(levels[0], "Glu", "molar").value)
    assert find(levels[1], "Glu", "molal").value == pytest.approx(find(levels[0], "Glu", "molal").value)


def test_a_calibration_multiplies_every_water_referenced_value_and_is_stated():
    fit, water = made_fit({"Cr": 1.0}), made_water(1000.0)
    tissue = TissueFractions(0.8, 0.2, 0.0)
    plain, calibrated = (
        concentrations(fit, water, tissue, PRESS, QuantifySettings(calibration=factor)) for factor in (1.0, 0.9)
    )
    for quantity, factor in (("molar", 0.9), ("molal", 0.9), ("ratio_tcr", 1.0)):
        values = [find(levels, "Cr", quantity).value for levels in (plain, calibrated)]
        assert values[1] == pytest.approx(factor * values[0])
    assert "multiplied by 0.9 (calibration)" in find(calibrated, "Cr", "molar").corrections


def test_a_sum_is_the_sum_of_its_members_each_with_its_own_relaxation():
    fit = made_fit({"NAA": 1.0, "NAAG": 0.2, "Cr": 1.0})
    levels = concentrations(fit, made_water(1e4), TissueFractions(0.5, 0.5, 0), PRESS, QuantifySettings())
    members = [find(levels, name, "molar").value for name in ("NAA", "NAAG")]
    assert find(levels, "tNAA", "molar").value == pytest.approx(sum(members))


def test_a_sum_of_which_a_member_is_missing_says_so():
    levels = concentrations(made_fit({"Glu": 1.0, "Cr": 1.0}), None, None, PRESS, QuantifySettings())
    assert "sum of Glu only" in find(levels, "Glx", "ratio_tcr").corrections


def test_the_error_of_a_ratio_holds_for_correlated_amplitudes():
    # Against 400 000 draws of the amplitudes; the delta method is first order, errors are 2 %.
    covariance = np.array([[0.0004, 0.0003], [0.0003, 0.0004]])
    fit = made_fit({"Glu": 1.2, "Cr": 1.0}, covariance)
    found = find(concentrations(fit, None, None, PRESS, QuantifySettings()), "Glu", "ratio_tcr")
    draws = np.random.default_rng(3).multivariate_normal([1.2, 1.0], covariance, size=400_000)
    assert found.value == pytest.approx(1.2)
    assert found.se_fit == pytest.approx((draws[:, 0] / draws[:, 1]).std(), rel=0.01)
    assert found.se_total == found.se_fit


def test_creatine_relative_to_itself_is_one_without_error():
    fit = made_fit({"Cr": 0.5, "PCr": 0.4}, np.array([[0.01, -0.009], [-0.009, 0.01]]))
    found = find(concentrations(fit, None, None, PRESS, QuantifySettings()), "tCr", "ratio_tcr")
    assert (found.value, found.se_fit) == (1.0, 0.0)


def test_without_uncertain_constants_only_fit_and_water_remain():
    rng = np.random.default_rng(4)
    settings = QuantifySettings(**NO_TISSUE_ERROR)
    fit = made_fit({"Glu": 1.0}, np.array([[0.04]]))
    water = made_water(1e4, noise_sd=20.0, rng=rng)
    amplitude, sd = water_amplitude(water)
    found = find(concentrations(fit, water, TissueFractions(1, 0, 0), PRESS, settings), "Glu", "molar")
    assert found.se_fit == pytest.approx(0.2 * found.value)
    assert found.se_total == pytest.approx(found.value * np.hypot(0.2, sd / amplitude), rel=1e-6)


def test_uncertain_t2_gives_the_error_of_its_first_order():
    # d ln(c) = -(TE / T2_metabolite) d + (TE / T2_water) d, independent of each other.
    settings = QuantifySettings(**(NO_TISSUE_ERROR | {"t2_sd_fraction": 0.01}))
    found = find(
        concentrations(made_fit({"Glu": 1.0}), made_water(1e4), TissueFractions(1, 0, 0), PRESS, settings),
        "Glu",
        "molar",
    )
    expected = 0.01 * np.hypot(0.03 / 0.1285, 0.03 / 0.110)
    assert found.se_total / found.value == pytest.approx(expected, rel=0.02)


def test_the_bound_is_given_in_percent_of_the_amplitude():
    fit = made_fit({"Glu": 2.0, "Gln": 1.0}, crlb=np.array([[0.01, -0.005], [-0.005, 0.04]]))
    levels = concentrations(fit, None, None, PRESS, QuantifySettings())
    assert find(levels, "Glu", "molar").crlb_pct == pytest.approx(5.0)
    assert find(levels, "Glx", "molar").crlb_pct == pytest.approx(100 * 0.2 / 3.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"water": None, "water_note": "not acquired"}, r"no water reference \(not acquired\)"),
        ({"tissue": None, "tissue_note": "no image"}, r"no tissue fractions \(no image\)"),
        ({"tissue": TissueFractions(0, 0, 1)}, "100 % CSF"),
        ({"acquisition": replace(PRESS, echo_time_s=None)}, "echo time"),
        ({"acquisition": replace(PRESS, repetition_time_s=None)}, "repetition time"),
        ({"water": made_water(1e4, Acquisition())}, "echo time of the water reference"),
        ({"acquisition": replace(PRESS, field_t=7.0)}, "7.0 T"),
        ({"fit": made_fit({"Glu": 1.0, "Cr": 1.0}, proton_amplitude=None)}, "amplitude of one proton"),
        ({"water": made_water(0.0)}, "too little signal"),
    ],
)
def test_what_is_missing_gives_no_value_but_a_reason(changes, reason):
    given = {
        "fit": made_fit({"Glu": 1.0, "Cr": 1.0}),
        "water": made_water(1e4),
        "tissue": TissueFractions(0.6, 0.4, 0),
        "acquisition": PRESS,
        "settings": QuantifySettings(),
    }
    levels = concentrations(**(given | changes))
    for quantity in ("molal", "molar"):
        found = find(levels, "Glu", quantity)
        assert np.isnan([found.value, found.se_fit, found.se_total]).all()
        assert re.search(reason, found.reason)
    assert find(levels, "Glu", "ratio_tcr").value == 1.0


def test_without_creatine_there_is_no_ratio():
    found = find(concentrations(made_fit({"Glu": 1.0}), None, None, PRESS, QuantifySettings()), "Glu", "ratio_tcr")
    assert np.isnan(found.value)
    assert "creatine" in found.reason


@pytest.mark.parametrize("creatine", [-1.0, 0.0, 0.05, 0.19])
def test_creatine_within_its_error_gives_no_ratio_and_water_referenced_values_stay(creatine):
    fit = made_fit({"Glu": 1.0, "Cr": creatine}, np.diag([0.01, 0.01]))
    levels = concentrations(fit, made_water(1e4), TissueFractions(0.6, 0.4, 0), PRESS, QuantifySettings())
    ratio, molar = find(levels, "Glu", "ratio_tcr"), find(levels, "Glu", "molar")
    assert np.isnan([ratio.value, ratio.se_fit, ratio.se_total]).all()
    assert ratio.reason == "total creatine is not measurable in this scan"
    assert molar.value > 0


def test_water_times_are_taken_from_the_metabolites_only_when_asked():
    water = made_water(1e4, Acquisition())
    settings = QuantifySettings(water_as_metabolites=True)
    tissue = TissueFractions(0.6, 0.4, 0)
    asked = find(concentrations(made_fit({"Glu": 1.0}), water, tissue, PRESS, settings), "Glu", "molar")
    stated = find(
        concentrations(made_fit({"Glu": 1.0}), made_water(1e4), tissue, PRESS, QuantifySettings()), "Glu", "molar"
    )
    assert asked.value == pytest.approx(stated.value)
    assert any("water reference" in text for text in asked.corrections)


def test_measured_fractions_go_before_stated_ones():
    settings = QuantifySettings(tissue_fractions={"GM": 0.1, "WM": 0.9})
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(1e4), TissueFractions(0.6, 0.4, 0), PRESS, settings)
    assert "GM 0.600" in find(levels, "Glu", "molar").corrections[0]


def test_stated_fractions_must_sum_to_one():
    with pytest.raises(ValidationError, match="sum to 1"):
        QuantifySettings(tissue_fractions={"GM": 0.6, "WM": 0.6})


@pytest.mark.parametrize(("lorentz_hz", "gauss_hz"), [(4.0, 0.0), (0.0, 8.0), (3.0, 6.0)])
def test_the_water_amplitude_of_voigt_lines_is_exact(lorentz_hz, gauss_hz):
    found, _ = water_amplitude(made_water(54321.0, lorentz_hz=lorentz_hz, gauss_hz=gauss_hz))
    assert found == pytest.approx(54321.0, rel=1e-9)


def test_the_first_point_does_not_change_the_water_amplitude():
    water = made_water(1e4)
    halved = water.fid.copy()
    halved[0] *= 0.5
    assert water_amplitude(replace(water, samples=halved))[0] == pytest.approx(1e4, rel=1e-9)


def test_a_mixture_of_tissues_is_extrapolated_within_a_thousandth():
    t = AXIS.time_s
    fid = 1e4 * (0.6 * np.exp(-t / 0.050) + 0.3 * np.exp(-t / 0.040) + 0.1 * np.exp(-t / 0.300))
    found, _ = water_amplitude(Signal(fid + 0j, ("time",), AXIS))
    assert found == pytest.approx(1e4, rel=1e-3)


def test_the_standard_error_of_the_water_amplitude_is_its_spread():
    rng = np.random.default_rng(5)
    found = np.array([water_amplitude(made_water(1e4, noise_sd=100.0, rng=rng)) for _ in range(300)])
    # 300 draws give an SD to 4 %; tolerance is four times that, and the mean to 4 standard errors.
    assert found[:, 0].std() == pytest.approx(found[:, 1].mean(), rel=0.16)
    assert found[:, 0].mean() == pytest.approx(1e4, abs=4 * found[:, 1].mean() / np.sqrt(300))


def test_noise_has_no_water_amplitude():
    rng = np.random.default_rng(6)
    water = made_water(0.0, noise_sd=1.0, rng=rng)
    assert np.isnan(water_amplitude(water)).all()


@pytest.mark.real
def test_creatine_of_the_fitting_challenge_is_near_10_mm(real_data):
    # The file is said to hold 10 mM "with correct water scaling". Its CH3 and CH2 singlets and its water, each fitted
    # as a line, give 10.8 mM by first principles. LCModel integrates the basis singlet over a narrow window, which for
    # a Lorentzian of 2 Hz over +-0.065 ppm holds 93 % of its area: a difference of this size.
    from mrspipe.io.basis_files import read_basis
    from mrspipe.io.lcmodel_files import read_raw

    known = {"dwell_s": 1 / 4000, "spectrometer_hz": 123.261703e6, "echo_time_s": 0.030}
    stem = real_data / "fitting_challenge" / "Cr_10mM_test_water_scaling"
    signal, water = (read_raw(stem.with_suffix(end), **known) for end in (".RAW", ".H2O"))
    basis = read_basis(real_data / "basis" / "challenge_press30_3T_measuredMM.basis").only(["Cr"])
    # The spectrum is 3 Hz broader than the basis set.
    broad = basis.fids[0] * np.exp(-np.pi * 3.0 * signal.axis.time_s)
    amplitude = abs(np.vdot(broad, signal.fid) / np.vdot(broad, broad))
    fit = made_fit({"Cr": amplitude}, proton_amplitude=basis.proton_amplitude)
    found = find(concentrations(fit, water, None, signal.acquisition, CHALLENGE), "Cr", "molar")
    assert found.value == pytest.approx(10.8, rel=0.02)


def test_the_scaling_of_lcmodel_needs_neither_tissue_nor_times():
    # LCModel's defaults: WCONC 35880 mmol/L, ATTH2O 0.7, ATTMET 1. One proton of metabolite per proton of water.
    settings = QuantifySettings(quantities=("lcmodel", "molar"))
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(2e3, Acquisition()), None, Acquisition(), settings)
    assert find(levels, "Glu", "lcmodel").value == pytest.approx(35880 * 0.7 / 1000)
    assert "ATTH2O 0.7" in find(levels, "Glu", "lcmodel").corrections[0]
    assert "no tissue fractions" in find(levels, "Glu", "molar").reason


def test_the_constants_of_lcmodel_can_be_set():
    chosen = {"lcmodel_wconc_mmol": 40000, "lcmodel_atth2o": 0.6, "lcmodel_attmet": 0.8}
    settings = QuantifySettings(quantities=("lcmodel",), **chosen)
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(2e3), None, PRESS, settings)
    assert levels[0].value == pytest.approx(40000 * 0.6 / 0.8 / 1000)


def test_another_field_has_the_scaling_of_lcmodel_and_no_other():
    settings = QuantifySettings(quantities=("lcmodel", "molal"))
    at_7t = replace(PRESS, field_t=7.0)
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(1e4), TissueFractions(1, 0, 0), at_7t, settings)
    assert find(levels, "Glu", "lcmodel").value > 0
    assert "7.0 T" in find(levels, "Glu", "molal").reason


def test_alpha_at_the_tissue_of_the_group_is_the_mean_over_that_tissue():
    # Harris 2015: a voxel that holds the group's tissue has the value that is not corrected, apart from CSF.
    tissue = TissueFractions(0.6, 0.3, 0.1)
    settings = QuantifySettings(
        quantities=("molar", "alpha_molar", "alpha_group_molar"),
        alpha_group_fractions={"GM": 0.6, "WM": 0.3, "CSF": 0.1},
    )
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(1e4), tissue, PRESS, settings)
    molar, alpha, group = (find(levels, "Glu", q).value for q in settings.quantities)
    assert group == pytest.approx(molar)
    assert group == pytest.approx(alpha * (0.6 + 0.5 * 0.3) / 0.9)


def test_alpha_at_the_tissue_of_the_group_is_refused_where_that_is_not_stated():
    settings = QuantifySettings(quantities=("alpha_group_molar",))
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(1e4), TissueFractions(1, 0, 0), PRESS, settings)
    assert np.isnan(levels[0].value)
    assert "alpha_group_fractions" in levels[0].reason
    assert levels[0].budget is None


@pytest.mark.parametrize(
    ("name", "t1_s", "t2_s", "molal", "molar"),
    [
        ("gannet", 1.27, 0.1285, 52.4e3, 39.6e3),
        ("fsl", 1.27, 0.1285, 47.1e3, 35.6e3),
        ("gannet", 1.23, 0.168, 49.0e3, 37.0e3),
        ("fsl", 1.23, 0.168, 44.0e3, 33.2e3),
    ],
)
def test_factors_worked_out_elsewhere_come_out(name, t1_s, t2_s, molal, molar):
    # A PRESS scan (TR 2.5 s, TE 32 ms, GM 0.81, WM 0.19), worked out from the formulas of Near 2021 when the study
    # was designed, to three digits: with a ratio S of 1, a concentration is the factor itself.
    settings = QuantifySettings(relaxation=name, metabolite_t1_s=t1_s, metabolite_t2_s=t2_s)
    press = Acquisition(echo_time_s=0.032, repetition_time_s=2.5)
    tissue = TissueFractions(0.81, 0.19, 0.0)
    levels = concentrations(made_fit({"Glu": 1.0}), made_water(2.0, press), tissue, press, settings)
    assert find(levels, "Glu", "molal").value == pytest.approx(molal, abs=50)
    assert find(levels, "Glu", "molar").value == pytest.approx(molar, abs=50)


def test_both_sets_give_less_apart_in_a_comparison_than_in_a_value():
    # Absolute values differ by a tenth between the sets; the ratio of two scans with one tissue does not.
    tissue, values = TissueFractions(0.6, 0.3, 0.1), {}
    for name in ("gannet", "fsl"):
        for glu in (1.0, 1.2):
            settings = QuantifySettings(relaxation=name)
            levels = concentrations(made_fit({"Glu": glu}), made_water(1e4), tissue, PRESS, settings)
            values[name, glu] = find(levels, "Glu", "molal").value
    assert values["gannet", 1.0] / values["fsl", 1.0] > 1.05
    assert values["gannet", 1.2] / values["gannet", 1.0] == pytest.approx(values["fsl", 1.2] / values["fsl", 1.0])


def test_the_scaling_of_lcmodel_with_the_constants_of_the_challenge_is_its_molar_value():
    # WCONC times ATTH2O is the visible water after relaxation, ATTMET what is left of the metabolite.
    chosen = {"lcmodel_wconc_mmol": 29697 / 0.7, "lcmodel_attmet": 1 / 1.206, "quantities": ("molar", "lcmodel")}
    levels = concentrations(made_fit({"Cr": 1.0}), made_water(1e4), None, PRESS, CHALLENGE.model_copy(update=chosen))
    molar, scaled = (find(levels, "Cr", quantity).value for quantity in ("molar", "lcmodel"))
    assert scaled == pytest.approx(molar, rel=1e-3)


def test_a_note_that_says_no_more_than_the_reason_is_left_out():
    levels = concentrations(
        made_fit({"Glu": 1.0}), None, None, PRESS, QuantifySettings(), water_note="no water reference"
    )
    assert find(levels, "Glu", "molar").reason == "no water reference"

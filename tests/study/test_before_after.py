import numpy as np

from mrspipe.config import load_config
from mrspipe.io.bids import find_scans
from mrspipe.io.derivatives import read_clean, read_fit
from mrspipe.pipeline.before_after import before_and_after


def _seen(study, results):
    files = find_scans(study).scans[0]
    clean, fit = read_clean(results, files.key), read_fit(results, files.key)
    return files, before_and_after(files, load_config("two_groups"), clean, fit)


def test_both_show_the_same_lines_and_only_one_the_residual_water(study, analysed):
    _, seen = _seen(study, analysed)
    lines, water = (seen.ppm > 1.9) & (seen.ppm < 2.1), seen.ppm > 4.4
    assert abs(seen.ppm[lines][np.argmax(seen.before[lines])] - seen.ppm[lines][np.argmax(seen.after[lines])]) < 0.02
    noise_sd = np.std(np.diff(seen.after[water])) / np.sqrt(2)
    # A hundred points of noise span five to six of its SD, and hardly ever eight.
    assert np.ptp(seen.after[water]) < 8 * noise_sd
    assert np.ptp(seen.before[water]) > 8 * noise_sd
    assert seen.shift_hz.size == seen.phase_deg.size > 1


def test_without_raw_data_there_is_nothing_to_compare(study, analysed):
    files, _ = _seen(study, analysed)
    clean, fit = read_clean(analysed, files.key), read_fit(analysed, files.key)
    files.metabolites.unlink()
    assert before_and_after(files, load_config("two_groups"), clean, fit) is None

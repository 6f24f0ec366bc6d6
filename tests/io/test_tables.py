import json
import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrspipe.core.arrays import FloatArray
from mrspipe.core.errors import FileError
from mrspipe.io.tables import format_cell, join_tables, plain, read_json, read_table, write_json, write_table


def _read(tmp_path, text):
    path = tmp_path / "t.tsv"
    path.write_bytes(text.encode("utf-8"))
    return read_table(path)


_NUMBERS = st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.lists(_NUMBERS, min_size=1, max_size=20))
def test_numbers_come_back_to_ten_digits_and_nan_as_nan(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    write_table(path, pd.DataFrame({"value": values}))
    back = read_table(path)["value"].to_numpy(dtype=float)
    # Half a unit of the tenth digit, relative to a first digit of 1; the smallest doubles have fewer digits.
    np.testing.assert_allclose(back, values, rtol=5e-10, atol=1e-300)


@given(st.lists(st.floats(1e-12, 1e9) | st.floats(-1e9, -1e-12), min_size=1, max_size=20))
def test_usual_numbers_alone_are_rounded_to_ten_digits(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    write_table(path, {"value": np.array(values)})
    for cell, value in zip(path.read_text().split()[1:], values, strict=True):
        digits = cell.lower().partition("e")[0].replace(".", "").lstrip("-0")
        # Eleven where a logarithm just below a power of ten is rounded to it.
        assert len(digits) <= 11
        assert abs(float(cell) - value) <= (0.5 + 1e-5) * 10.0 ** (math.floor(math.log10(abs(value))) - 9)


def test_zero_has_no_sign_in_a_table(tmp_path):
    write_table(tmp_path / "t.tsv", {"a": np.array([-0.0, 1.5])})
    assert (tmp_path / "t.tsv").read_text() == "a\n0\n1.5\n"


@given(st.lists(st.tuples(_NUMBERS, _NUMBERS), max_size=8))
def test_numbers_alone_are_written_as_they_are_beside_text(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    table = pd.DataFrame(rows, columns=["a", "b"], dtype=float)
    write_table(path, table)
    alone = path.read_text().split()
    write_table(path, {"a": table["a"].tolist(), "b": table["b"].tolist()})
    beside = path.read_text().split()
    for one, other, value in zip(alone[2:], beside[2:], table.to_numpy().ravel(), strict=True):
        # Exponents may be spelled 1e-5 or 1e-05; what is half-way between two numbers of ten digits may go to either.
        assert one == other or float(one) == float(other) or _is_half_way(value)


def _is_half_way(value):
    exact = Decimal(float(value))
    units = abs(exact.scaleb(9 - exact.adjusted()))
    return abs(units % 1 - Decimal("0.5")) < Decimal("1e-5")


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=8))
def test_whole_numbers_have_no_decimals(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    write_table(path, {"a": np.array(numbers, dtype=float)})
    assert path.read_text().split() == ["a", *(str(number) for number in numbers)]


_WORDS = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(_WORDS, min_size=1, max_size=10))
def test_text_comes_back_with_its_spaces_folded_and_nothing_as_missing(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    write_table(path, pd.DataFrame({"note_id": words}))
    back = read_table(path)["note_id"]
    missing = {"", "n/a", "N/A", "NA", "NaN", "nan", "<NA>", "NaT"}
    folded = [" ".join(word.split()) for word in words]
    assert [None if pd.isna(b) else b for b in back] == [None if word in missing else word for word in folded]


@given(st.lists(st.booleans(), min_size=1), st.lists(st.integers(-(2**62), 2**62), min_size=1))
def test_truth_and_whole_numbers_come_back_as_they_are(tmp_path_factory, truths, numbers):
    folder = tmp_path_factory.mktemp("t")
    write_table(folder / "b.tsv", pd.DataFrame({"included": truths}))
    write_table(folder / "i.tsv", pd.DataFrame({"n": numbers}))
    assert read_table(folder / "b.tsv")["included"].tolist() == truths
    assert read_table(folder / "i.tsv")["n"].tolist() == numbers


def test_a_table_that_was_read_is_written_with_the_same_bytes(tmp_path):
    rng = np.random.default_rng(1)
    values = rng.normal(size=50) * 10.0 ** rng.integers(-20, 20, 50)
    table = pd.DataFrame({"participant_id": ["sub-01"] * 50, "run": ["01"] * 50, "value": values, "note": [None] * 50})
    first, second = tmp_path / "1.tsv", tmp_path / "2.tsv"
    write_table(first, table)
    write_table(second, read_table(first))
    assert first.read_bytes() == second.read_bytes()


def test_what_names_things_stays_text(tmp_path):
    table = _read(tmp_path, "participant_id\trun\tacq\tage\n01\t1\t7\t30\n")
    assert table.iloc[0].tolist() == ["01", "1", "7", 30]


def test_a_column_with_leading_zeros_stays_text(tmp_path):
    assert _read(tmp_path, "code\n007\n010\n")["code"].tolist() == ["007", "010"]


def test_missing_is_written_as_na_and_never_as_zero(tmp_path):
    write_table(tmp_path / "t.tsv", pd.DataFrame({"a": [np.nan], "b": [None], "c": [pd.NA], "d": [pd.NaT], "e": [""]}))
    assert (tmp_path / "t.tsv").read_text().splitlines()[1] == "\t".join(["n/a"] * 5)


def test_a_tab_or_line_end_in_a_cell_does_not_break_the_table():
    assert format_cell("two\tcells\nor lines") == "two cells or lines"


def test_minus_zero_is_zero():
    assert format_cell(-0.0) == "0"


def test_the_dictionary_describes_the_columns_that_are_there(tmp_path):
    write_table(tmp_path / "t.tsv", pd.DataFrame({"a": [1]}), {"a": "First.", "b": "Not there."})
    assert json.loads((tmp_path / "t.json").read_text()) == {"a": {"Description": "First."}}


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a is there more than once"):
        write_table(tmp_path / "t.tsv", pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a\tb\n1\t2\n3\n", "Line 3 has 1 cells but the header has 2"),
        ("a\ta\n1\t2\n", "names a column twice: a"),
    ],
)
def test_what_is_not_a_table_is_refused_with_the_place(tmp_path, text, message):
    with pytest.raises(FileError, match=message):
        _read(tmp_path, text)


def test_a_table_of_a_spreadsheet_program_is_read(tmp_path):
    table = _read(tmp_path, "\ufeffa\tb\r\n1\tx\r\n")
    assert table.columns.tolist() == ["a", "b"]
    assert table.iloc[0].tolist() == [1, "x"]


def test_joined_tables_agree_on_the_type_of_a_column(tmp_path):
    (tmp_path / "1.tsv").write_text("session_id\tdose\nses-1\t1\n")
    (tmp_path / "2.tsv").write_text("session_id\tdose\tnote\nses-1\tn/a\tlate\n")
    table = join_tables([tmp_path / "1.tsv", tmp_path / "2.tsv"], {"participant_id": ["sub-01", "sub-02"]})
    assert table["participant_id"].tolist() == ["sub-01", "sub-02"]
    assert table["dose"].dtype == float
    assert math.isnan(table["dose"][1])
    assert table["note"][1] == "late"


_SCALARS = st.none() | st.booleans() | st.integers() | _WORDS


def _nested(scalars):
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=4),
        max_leaves=10,
    )


@given(_nested(_SCALARS | st.floats(allow_nan=False, allow_infinity=False)))
def test_json_comes_back_exactly(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("t") / "t.json"
    write_json(path, {"content": content})
    assert read_json(path) == {"content": content}


@given(_nested(_SCALARS))
def test_json_is_laid_out_as_by_the_standard_library(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("t") / "t.json"
    write_json(path, {"content": content})
    text = json.dumps({"content": content}, indent=2, sort_keys=True, ensure_ascii=False)
    assert path.read_bytes() == (text + "\n").encode()


def test_json_has_the_same_bytes_in_any_order(tmp_path):
    write_json(tmp_path / "1.json", {"a": 1, "b": [np.float64(0.1), np.nan]})
    write_json(tmp_path / "2.json", {"b": (0.1, None), "a": np.int64(1)})
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_an_object_without_a_json_form_is_refused():
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        plain(object())


@dataclass(frozen=True)
class _Record:
    second: FloatArray
    first: Path


def test_records_arrays_and_paths_have_a_json_form(tmp_path):
    # Arrays of another byte order and of every other element, too.
    values = np.arange(6, dtype=">f8")[::2]
    write_json(tmp_path / "x.json", {"record": _Record(values, Path("a") / "b"), "deep": _nested_lists(300)})
    text = (tmp_path / "x.json").read_text()
    assert text.index('"first"') < text.index('"second"')
    content = read_json(tmp_path / "x.json")
    assert content["record"] == {"first": "a/b", "second": [0.0, 2.0, 4.0]}
    assert content["deep"] == _nested_lists(300)


def _nested_lists(depth):
    content = []
    for _ in range(depth):
        content = [content]
    return content


def test_a_number_that_another_program_could_not_measure_is_read(tmp_path):
    (tmp_path / "x.json").write_text('{"EchoTime": NaN, "Words": "NaN"}')
    content = read_json(tmp_path / "x.json")
    assert math.isnan(content["EchoTime"])
    assert content["Words"] == "NaN"


@pytest.mark.parametrize("text", ["[1]", "{", "\x80"])
def test_what_is_not_a_json_object_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=r"x\.json"):
        read_json(tmp_path / "x.json")

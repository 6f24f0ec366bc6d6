import pytest

from mrspipe.core.errors import FileError
from mrspipe.io.foreign_tables import read_foreign_table

ROWS = [["participant_id", "glu"], ["sub-1", "9.5"], ["sub-2", "n/a"], ["sub-3", "10"]]


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "separator", "end", "encoding"),
    [
        ("plain.tsv", "\t", "\n", "utf-8"), ("windows.tsv", "\t", "\r\n", "utf-8"),
        ("mark.tsv", "\t", "\n", "utf-8-sig"),
        ("mac.tsv", "\t", "\r", "utf-8"), ("table.csv", ",", "\n", "utf-8"), ("excel.csv", ";", "\r\n", "utf-8-sig"),
        ("TABLE.CSV", ",", "\r\n", "utf-8-sig"),
    ],
)  # fmt: skip
def test_the_same_table_in_any_spelling_is_the_same(tmp_path, name, separator, end, encoding):
    path = write(tmp_path / name, end.join(separator.join(row) for row in ROWS) + end, encoding)
    table = read_foreign_table(path)
    assert [list(table.columns), *table.to_numpy().tolist()] == ROWS
    assert list(table.index) == [2, 3, 4]


def test_empty_cells_of_all_kinds_are_missing(tmp_path):
    path = write(tmp_path / "a.tsv", "id\tglu\n1\t\n2\tNaN\n3\tNA\n4\tN/A\n5\t n/a \n")
    assert list(read_foreign_table(path)["glu"]) == ["n/a"] * 5


def test_blank_lines_do_not_shift_the_numbers_of_lines(tmp_path):
    table = read_foreign_table(write(tmp_path / "a.tsv", "id\tglu\n\n1\t9\n\n2\t8\n"))
    assert list(table.index) == [3, 5]


def test_quoted_cells_of_a_csv_may_hold_commas(tmp_path):
    table = read_foreign_table(write(tmp_path / "a.csv", 'id,reason\n1,"noisy, wide"\n'))
    assert list(table["reason"]) == ["noisy, wide"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "id\tglu\n1\t9\t3\n", "Line 2 has 3 cells but the header has 2"),
        ("a.tsv", "id\tglu\tglu\n1\t9\t3\n", "names a column twice: glu"),
        ("a.tsv", "\n\n", "The table is empty"),
        ("a.tsv", "id,glu\n1,9\n", "no tabs, but commas .*end with .csv"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, message):
    with pytest.raises(FileError, match=message):
        read_foreign_table(write(tmp_path / name, content))


def test_another_encoding_is_refused_with_the_cure(tmp_path):
    with pytest.raises(FileError, match=r"not UTF-8 text.*Save it as UTF-8"):
        read_foreign_table(write(tmp_path / "a.tsv", "id\tname\n1\tZoë\n", "latin-1"))


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"nowhere\.tsv: The table does not exist"):
        read_foreign_table(tmp_path / "nowhere.tsv")

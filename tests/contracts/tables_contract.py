"""What every place of views must do for those who ask: plain tables, and text that is searched.

A test class of an adapter inherits from `TablesContract` and provides the fixture `searched`: a
function that puts rows of `WORDS` into live views and returns these as `Tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from projections.criteria import Criteria
from projections.views import Tables
from tests.projections.projections import WORDS, Word

Searched = Callable[[Sequence[Word]], Tables]


def word(number: int, text: str, note: str | None = None) -> Word:
    """Return a row."""
    return Word(number=number, stream="s1", text=text, note=note)


TEXTS = (
    word(0, "c1 requested: pytest -q tests/unit", "ada"),
    word(1, "c2 requested: rm -rf build/", "Grace Hopper"),
    word(2, "Crème brûlée is not a NEAR miss", None),
    word(3, "exited with 42 AND went on", "crème"),
    word(4, 'he said "out of memory" twice', "ada"),
    word(5, "memory, out of", "ada"),
    word(6, "日本語 の テスト", None),
    word(7, "", ""),
)


def numbers(tables: Tables, texts: Sequence[str], column: str | None = None) -> list[int]:
    """Return the numbers of the rows that hold all of *texts*, in order."""
    criteria = Criteria(WORDS).found(tables.matching(WORDS, texts, column), by="number")
    return [row.number for row in criteria.read(tables, order="t.number")]


class TablesContract:
    """The rules of `projections.views.Tables`."""

    def find(self, searched: Searched, text: str, column: str | None = None) -> list[int]:
        """Return the numbers of the rows that hold *text*."""
        tables = searched(TEXTS)
        return numbers(tables, [text], column)

    def test_a_query_in_sql_is_answered_with_its_parameters(self, searched: Searched) -> None:
        """Every row is a tuple of plain values."""
        tables = searched(TEXTS)
        statement = 'SELECT number, note FROM "words" WHERE number > ? AND note = ?'
        assert [(4, "ada"), (5, "ada")] == tables.select(statement, (1, "ada"))
        assert [] == tables.select(statement, (7, "x' OR 1 = 1 --"))

    def test_what_is_no_text_is_in_no_row_and_no_error(self, searched: Searched) -> None:
        """A command line hands over any bytes at all."""
        tables = searched(TEXTS)
        assert [] == Criteria(WORDS).equal(note="ada\udcff").read(tables, order="t.number")

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("pytest", [0]),
            ("PyTest", [0]),
            ("pytes", []),
            ("pytes*", [0]),
            ("ytest", []),
            ("requested", [0, 1]),
            ("c1 requested", [0]),
            ("requested c1", []),
            ("requested pytest", [0]),
            ("requested: pytest -q tests/un*", [0]),
            ("rm -rf", [1]),
            ("out of memory", [4]),
            ("memory, out", [5]),
            ("42", [3]),
            ("4", []),
            ("4*", [3]),
            ("日本", []),
            ("日本*", [6]),
        ],
    )
    def test_words_are_found_one_after_the_other(
        self, searched: Searched, text: str, found: list[int]
    ) -> None:
        """Whatever stands between them and whatever their case; the last may go on, with a star."""
        assert found == self.find(searched, text)

    def test_all_of_several_texts_are_in_the_row(self, searched: Searched) -> None:
        """In any order, and whichever columns they are in."""
        tables = searched(TEXTS)
        assert [0] == numbers(tables, ["ada", "c1 requested"])
        assert [] == numbers(tables, ["ada", "c2 requested"])
        assert [4, 5] == numbers(tables, ["memory", "ada"])
        assert [] == numbers(tables, ["memory", ""])

    def test_what_is_found_is_narrowed_and_turned_round(self, searched: Searched) -> None:
        """Other conditions and ranges of numbers count too; the newest can come first."""
        tables = searched(TEXTS)
        search = tables.matching(WORDS, ["ada"])
        criteria = Criteria(WORDS).found(search, by="number").numbered("number", 1, 4)
        assert [4] == [row.number for row in criteria.read(tables, order="t.number")]
        newest = Criteria(WORDS).found(search, by="number")
        rows = newest.read(tables, order="t.number DESC", limit=2)
        assert [5, 4] == [row.number for row in rows]

    @pytest.mark.parametrize("text", ["creme", "Crème", "CRÈME", "cre\u0300me"])
    def test_diacritics_make_no_difference(self, searched: Searched, text: str) -> None:
        """Whoever types without them finds what was written with them, and the other way round."""
        assert [2, 3] == self.find(searched, text)

    @pytest.mark.parametrize("text", ["", " ", "-", "...", '"', '""', "*", "(", "'", "\x00", "\n"])
    def test_without_a_word_nothing_is_found(self, searched: Searched, text: str) -> None:
        """Punctuation alone is in no row, and no error."""
        assert [] == self.find(searched, text)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('"out of memory"', [4]),
            ('said "out', [4]),
            ('"pytest', [0]),
            ("AND went", [3]),
            ("went OR exited", []),
            ("NOT a", [2]),
            ("NEAR miss", [2]),
            ("NEAR(c1 requested)", []),
            ("text : pytest", []),
            ("note:ada", []),
            ("^c1", [0]),
            ("c1 + requested", [0]),
            ("pytest*", [0]),
            ("{text} : c1", []),
            ("c1\x00requested", [0]),
            ("c1 \udcff requested", [0]),
            ("c1' OR 1=1 --", []),
        ],
    )
    def test_what_means_something_to_a_search_engine_is_words_here(
        self, searched: Searched, text: str, found: list[int]
    ) -> None:
        """Quotes, operators and columns are typed by somebody who means the words."""
        assert found == self.find(searched, text)

    def test_one_column_can_be_searched_alone(self, searched: Searched) -> None:
        """What another column holds does not count."""
        assert [0, 4, 5] == self.find(searched, "ada")
        assert [0, 4, 5] == self.find(searched, "ada", "note")
        assert [] == self.find(searched, "ada", "text")
        assert [3] == self.find(searched, "creme", "note")

    def test_words_are_not_found_across_columns(self, searched: Searched) -> None:
        """The end of one and the beginning of the next are not one after the other."""
        assert [] == self.find(searched, "unit ada")

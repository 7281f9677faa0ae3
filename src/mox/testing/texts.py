"""What every index that holds texts is held to, ours and third parties'.

class TestMine(TextIndexContract):
    spec = MySpec()
    extremes = {"stemmer": (Setup(MySpec(), MySearch()), Setup(MySpec(stemmer="en"), MySearch()))}
"""
# ruff: noqa: S101

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from mox.errors import DataError, EngineError, SpecError
from mox.indexes import indexes
from mox.registry import validate
from mox.spec import IndexSpec, SearchSettings
from mox.testing.indexes import Foreign
from mox.testing.vectors import Setup
from mox.types import Built, IndexBackend, Place, Rows

if TYPE_CHECKING:
    from mox.types import Floats, Ints

    Found = tuple[Ints, Floats]

VOCABULARY = (
    "river mountain copper lantern harbour winter violin saddle orchard engine marble thunder"
    " candle falcon meadow anchor silver bridge garden hammer island jacket kettle ladder mirror"
    " needle ocean pencil rabbit spider temple umbrella valley window zebra barrel canyon desert"
)
WORDS = VOCABULARY.split()
"""None is a stop word, and no stemmer makes two of them one."""
K = 10


def written(rows: int = 400) -> tuple[str, ...]:
    """Texts of 3 to 40 words, common ones more often than rare ones, and five texts by hand.

    So mixed in length and repetition that k1, b and every other weight of a word shows.
    """
    import numpy as np

    draw = np.random.default_rng(7)
    share = 1 / np.arange(1, len(WORDS) + 1)
    share /= share.sum()
    texts = [
        " ".join(draw.choice(WORDS, size=int(size), p=share))
        for size in draw.integers(3, 41, size=rows)
    ]
    return (
        *texts,
        "",
        "Überraschung im Café: naïve 漢字 \U0001f642 end",
        "quokka quokka quokka river mountain",
        "quokka copper lantern river mountain",
        "the numbat and the pangolins of it",
    )


TEXTS = written()
EMPTY, STRANGE, THRICE, ONCE, PLAIN = range(len(TEXTS) - 5, len(TEXTS))
"""Rows of the texts by hand."""


def asked(queries: int = 30) -> tuple[str, ...]:
    """Questions of 2 to 4 different words each."""
    import numpy as np

    draw = np.random.default_rng(8)
    sizes = draw.integers(2, 5, size=queries)
    return tuple(" ".join(draw.choice(WORDS, size=int(n), replace=False)) for n in sizes)


QUERIES = asked()
EXTRA = ("the copper of it", "a pangolin")
"""Questions with stop words and another form of a word, where analyzers differ."""


@dataclass(frozen=True)
class TextBench:
    """A built index of texts and what it was built from."""

    backend: IndexBackend
    spec: IndexSpec
    place: Place
    built: Built

    def search(
        self, queries: Sequence[str], *, k: int = K, settings: SearchSettings | None = None
    ) -> Found:
        with self.backend.open(self.spec, self.place) as searcher:
            found: Found = searcher.search_texts(
                queries, k=k, settings=settings or self.spec.Search()
            )
        return found

    def beside(self, name: str) -> Place:
        return Place(f"{self.place.name}_{name}", self.place.folder, self.place.uri)


class TextIndexContract:
    """Set `spec`, and whichever of the other attributes does not fit.

    What the tests look at is built once for a class. To point them at a server, override the
    fixture `uri`, as a class method with the same scope.
    """

    spec: ClassVar[IndexSpec]
    """The build that most tests look at."""
    extremes: ClassVar[Mapping[str, tuple[Setup, Setup]]] = {}
    """Each field of the Spec and of its Search → two set-ups that differ in it alone."""
    not_here: ClassVar[Mapping[str, str]] = {}
    """Fields that this engine has but one value of → why."""
    most_bytes: ClassVar[int | None]
    """Of one text, in UTF-8; None where the engine's limit is another."""

    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls) -> str | None:
        """The engine's address; None for the embedded one."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def bench(
        cls, uri: str | None, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[TextBench]:
        place = Place(f"mox_test_{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("texts"), uri)
        backend = indexes[cls.spec]
        built = backend.build(cls.spec, Rows(texts=TEXTS), place)
        yield TextBench(backend, cls.spec, place, built)
        backend.drop(place)

    def test_its_settings_survive_being_written_down(self) -> None:
        assert indexes.parse(self.spec.model_dump(mode="json")) == self.spec
        assert self.spec.holds == "texts"
        assert all(isinstance(v, str) for v in indexes.fingerprint(self.spec).values())

    def test_unknown_settings_are_refused(self) -> None:
        with pytest.raises(SpecError, match="no_such_setting"):
            indexes.parse({**self.spec.model_dump(), "no_such_setting": 1})
        with pytest.raises(SpecError, match="no_such_setting"):
            validate(self.spec.Search, {"no_such_setting": 1}, name="search")

    def test_it_holds_every_row_and_was_built_as_asked(self, bench: TextBench) -> None:
        assert bench.built.rows == bench.backend.rows(bench.place) == len(TEXTS)
        asked = self.spec.model_dump(exclude={"kind"})
        assert {name: bench.built.parameters[name] for name in asked} == asked
        assert bench.built.bytes_are in ("measured", "formula")
        assert bench.built.index_bytes > 0

    def test_it_finds_the_rows_that_have_any_word_and_no_others(self, bench: TextBench) -> None:
        ids, _ = bench.search(QUERIES, k=len(TEXTS))
        for query, row in zip(QUERIES, ids, strict=True):
            words = set(query.split())
            truth = {at for at, text in enumerate(TEXTS) if words & set(text.split())}
            assert set(row[row >= 0].tolist()) == truth, query

    def test_a_word_that_is_repeated_counts_more(self, bench: TextBench) -> None:
        ids, scores = bench.search(["quokka"])
        assert ids[0, :3].tolist() == [THRICE, ONCE, -1]
        assert scores[0, 0] > scores[0, 1]

    def test_scores_fall_and_padding_comes_last(self, bench: TextBench) -> None:
        import numpy as np

        ids, scores = bench.search([*QUERIES, "quokka"], k=len(TEXTS) + 5)
        assert ids.shape == scores.shape == (len(QUERIES) + 1, len(TEXTS) + 5)
        empty = ids == -1
        assert (empty == (scores == -np.inf)).all()
        assert (empty[:, 1:] >= empty[:, :-1]).all()
        kept = np.where(empty, -1e30, scores)
        assert (np.diff(kept, axis=1) <= 0).all()

    def test_what_has_no_known_word_finds_nothing(self, bench: TextBench) -> None:
        ids, _ = bench.search(["unheardofword", "", "  \n", "?!", "quokka"])
        assert (ids[:4] == -1).all()
        assert ids[4, 0] == THRICE, "and the next one is answered all the same"

    def test_a_text_without_words_is_held_and_never_found(self, bench: TextBench) -> None:
        ids, _ = bench.search([" ".join(WORDS)], k=len(TEXTS))
        assert EMPTY not in ids[0]

    def test_words_outside_ascii_are_found_in_either_case(self, bench: TextBench) -> None:
        for query in ("überraschung", "CAFÉ", "Naïve", "\U0001f642 漢字"):
            assert bench.search([query])[0][0, 0] == STRANGE, query

    def test_a_question_may_hold_what_a_query_language_would_read(self, bench: TextBench) -> None:
        strange = ["quokka | & ! ( ) : * <->", "'quokka", 'quokka\\ "', "-quokka AND OR NOT ~ \t"]
        assert all(row[0] == THRICE for row in bench.search(strange)[0])

    def test_opened_again_it_finds_the_same(self, bench: TextBench) -> None:
        first, second = bench.search(QUERIES), bench.search(QUERIES)
        assert (first[0] == second[0]).all()
        assert (first[1] == second[1]).all()

    def test_many_questions_get_what_each_gets_alone(self, bench: TextBench) -> None:
        many = bench.search(QUERIES * 8)[0]
        for at in (0, len(QUERIES) - 1):
            assert (many[at :: len(QUERIES)] == bench.search([QUERIES[at]])[0]).all()

    def test_it_refuses_searches_that_it_cannot_mean(self, bench: TextBench) -> None:
        with pytest.raises(SpecError, match="Foreign"):
            bench.search(QUERIES, settings=Foreign())
        with pytest.raises(SpecError, match="k = 0"):
            bench.search(QUERIES, k=0)

    def test_it_refuses_rows_that_it_cannot_hold(self, bench: TextBench) -> None:
        import numpy as np

        place, vectors = bench.beside("refused"), np.ones((2, 4), dtype=np.float32)
        for rows in (Rows(), Rows(texts=()), Rows(vectors), Rows(vectors, texts=("a", "b"))):
            with pytest.raises(SpecError, match="texts"):
                bench.backend.build(self.spec, rows, place)
        assert bench.backend.rows(place) is None

    def test_a_text_as_long_as_it_may_be_is_held_and_a_longer_one_refused(
        self, bench: TextBench
    ) -> None:
        if self.most_bytes is None:
            pytest.skip("its engine has no limit in bytes")
        place, most = bench.beside("long"), self.most_bytes
        # Half as many characters as bytes: an engine that counts characters would take it.
        rows = Rows(texts=("short", "é" * (most // 2 + 1)))
        with pytest.raises(DataError, match=r"row 1 has .* bytes"):
            bench.backend.build(self.spec, rows, place)
        assert bench.backend.rows(place) is None
        longest = ("é" * 60 + " ").ljust(most - 60, "b")
        assert len(longest.encode()) == most
        bench.backend.build(self.spec, Rows(texts=("short", longest)), place)
        with bench.backend.open(self.spec, place) as searcher:
            ids, _ = searcher.search_texts(["é" * 60], k=2, settings=self.spec.Search())
        assert ids.tolist() == [[1, -1]]
        bench.backend.drop(place)

    def test_dropped_it_is_gone(self, bench: TextBench) -> None:
        backend, place = bench.backend, bench.beside("drop")
        backend.drop(place)
        assert backend.rows(place) is None
        with pytest.raises(EngineError), backend.open(self.spec, place):
            pass
        backend.build(self.spec, Rows(texts=("river", "mountain")), place)
        assert backend.rows(place) == 2
        with pytest.raises(EngineError, match="already"):
            backend.build(self.spec, Rows(texts=("river",)), place)
        backend.drop(place)
        assert backend.rows(place) is None

    def test_every_setting_has_its_extremes(self) -> None:
        fields = {*type(self.spec).model_fields, *self.spec.Search.model_fields} - {"kind"}
        assert {*self.extremes, *self.not_here} == fields

    def test_two_extremes_of_each_setting_answer_differently(self, bench: TextBench) -> None:
        """A setting that an engine ignores makes two rows of a sweep one."""
        places: dict[IndexSpec, Place] = {}
        for name, pair in self.extremes.items():
            answers = []
            for setup in pair:
                if setup.spec not in places:
                    places[setup.spec] = bench.beside(f"x{len(places)}")
                    bench.backend.build(setup.spec, Rows(texts=TEXTS), places[setup.spec])
                with bench.backend.open(setup.spec, places[setup.spec]) as searcher:
                    found = searcher.search_texts([*QUERIES, *EXTRA], k=K, settings=setup.settings)
                answers.append(found[0].tolist())
            assert answers[0] != answers[1], f"{name} changes nothing"
        for place in places.values():
            bench.backend.drop(place)

"""Reloads: which version is in force after which edits, whatever comes in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.budget import budget
from support.reloads import CODE, ROOT, Disk, FakeGeneration, names, snapshot

from tasker.daemon.reloading import exchanged
from tasker.pipeline import base_name


@pytest.fixture
def disk() -> Disk:
    return Disk()


def started(disk: Disk, **texts: Any) -> Disk:
    """All of it is in force, and nothing is told yet."""
    disk.look(**texts)
    disk.imported()
    disk.books.told.clear()
    return disk


def shown(name: str) -> str:
    return str(ROOT / f"{name}.conf")


def test_what_is_valid_comes_into_force_once_the_code_is_imported(disk: Disk) -> None:
    disk.look(a="one", b="two")
    assert disk.names() == {}
    disk.imported()
    assert disk.reloading.settled
    assert disk.names() == {"one": "a", "two": "b"}


def test_a_look_that_finds_nothing_new_asks_for_nothing(disk: Disk) -> None:
    started(disk, a="one", b="bad")
    disk.look()
    assert not any(generation.asked for generation in disk.generations)


def test_only_what_an_edit_touches_is_validated(disk: Disk) -> None:
    started(disk, a="one", b="two")
    disk.look(a="one again")
    ((_, candidates),) = disk.generations[-1].asked
    assert [each.path.stem for each in candidates] == ["a"]


def test_a_bad_edit_leaves_the_last_good_version_in_force(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a="bad")
    disk.answer()
    assert disk.names() == {"one": "a"}
    assert disk.books.told == [("invalid", shown("a"))]
    disk.look(a="one 1")
    disk.answer()
    assert disk.books.told[1:] == [("mended", shown("a")), ("deployed", "one")]


def test_a_bad_file_is_told_again_only_where_it_is_edited(disk: Disk) -> None:
    started(disk, a="one", b="bad")
    disk.look(a="one 1")
    disk.answer()
    assert disk.books.told == [("deployed", "one")]
    disk.look(b="bad indeed")
    disk.answer()
    assert disk.books.told[1:] == [("invalid", shown("b"))]


def test_all_that_is_wrong_is_told_again_when_everything_is_validated_anew(disk: Disk) -> None:
    started(disk, a="one", b="bad")
    disk.reloading.revalidate()
    disk.imported()
    assert sorted(disk.books.told) == [("deployed", "one"), ("invalid", shown("b"))]


def test_two_files_may_exchange_their_names(disk: Disk) -> None:
    started(disk, a="one", b="two")
    disk.look(a="two", b="one")
    disk.answer()
    assert disk.names() == {"one": "b", "two": "a"}
    assert ("withdrawn", "one") not in disk.books.told


def test_a_name_is_its_first_files_until_that_gives_it_up(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(b="one")
    disk.answer()
    assert disk.books.invalid_files.keys() == {shown("b")}
    disk.look(a="two")
    disk.answer()
    assert disk.names() == {"one": "b", "two": "a"}
    assert not disk.books.invalid_files


def test_a_name_is_free_once_the_file_that_had_it_is_deleted(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(b="one")
    disk.answer()
    disk.look(a=None)
    disk.answer()
    assert disk.names() == {"one": "b"}
    assert not disk.books.invalid_files


def test_a_file_that_gets_another_name_keeps_its_pipeline(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a=None, b="one")
    assert disk.names() == {"one": "a"}
    disk.answer()
    assert disk.names() == {"one": "b"}
    assert disk.books.told == [("deployed", "one")]


def test_a_file_that_is_gone_while_a_new_one_is_bad_is_gone(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a=None, b="bad")
    disk.answer()
    assert disk.names() == {}


def test_a_file_that_comes_back_before_it_was_let_go_is_what_it_is_now(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a=None, b="two")
    disk.look(a="bad")
    disk.answer()
    assert disk.names() == {"one": "a", "two": "b"}
    assert disk.books.invalid_files.keys() == {shown("a")}


def test_code_that_makes_no_difference_to_a_pipeline_is_used_all_the_same(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(code="2")
    disk.imported()
    assert disk.code_of("one") == "2"
    assert disk.books.told == []
    assert disk.generations[0].retired


def test_a_pipeline_that_new_code_does_not_suit_keeps_the_old_until_it_does(disk: Disk) -> None:
    started(disk, a="one 1", b="two")
    disk.look(code="2")
    disk.imported()
    assert (disk.code_of("one"), disk.code_of("two")) == ("1", "2")
    assert not disk.generations[0].retired
    disk.look(a="one 2")
    disk.answer()
    assert disk.code_of("one") == "2"
    assert disk.generations[0].retired


def test_the_last_good_version_of_a_bad_file_moves_to_code_that_suits_it(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a="bad")
    disk.answer()
    disk.look(code="2")
    disk.imported()
    assert disk.code_of("one") == "2"
    assert disk.generations[0].retired
    assert disk.books.invalid_files.keys() == {shown("a")}


def test_an_edit_while_code_is_imported_is_in_force_at_once(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(code="2")
    disk.look(a="one 1")
    disk.answer()
    assert disk.books.scheduled["one"].revision == "one 1"


def test_a_file_that_needs_code_which_is_being_imported_is_not_told_to_be_bad(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(code="2")
    disk.look(a="one 2")
    disk.answer()
    assert disk.books.told == []
    disk.imported()
    assert disk.books.told == [("deployed", "one")]


def test_code_that_changes_while_it_is_imported_is_imported_again(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(code="2", a="one 3")
    disk.look(code="3")
    assert disk.generations[1].retired
    disk.imported()
    assert disk.code_of("one") == "3"
    assert disk.books.scheduled["one"].revision == "one 3"


def test_an_answer_of_a_generation_that_is_replaced_counts_for_nothing(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a="one 1")
    disk.look(code="2")
    disk.imported(answers=False)
    disk.answer_one(disk.generations[0])
    assert disk.books.told == []
    disk.answer()
    assert disk.books.told == [("invalid", shown("a")), ("restored", shown("a")), ("deployed", "one")]


def test_an_edit_of_one_instance_is_told_of_it_alone(disk: Disk) -> None:
    started(disk, a="crm/x:1,y:1,z:1")
    disk.look(a="crm/x:1,y:2,z:1")
    disk.answer()
    assert disk.books.told == [("deployed", "crm/y")]
    assert [disk.books.scheduled[f"crm/{key}"].revision for key in "xyz"] == ["1", "2", "1"]


def test_an_instance_that_is_as_it_was_runs_on_the_newest_texts_of_its_file(disk: Disk) -> None:
    started(disk, a="crm/x:1,y:1")
    disk.look(a="crm/x:1,y:2")
    disk.answer()
    newest = snapshot("a", "crm/x:1,y:2")
    assert disk.books.kept == {"crm/x": newest, "crm/y": newest}
    assert disk.in_force("crm/x").snapshot == disk.in_force("crm/y").snapshot == newest


def test_instances_come_and_go_and_the_others_stay_as_they_are(disk: Disk) -> None:
    started(disk, a="crm/x:1,y:1")
    disk.look(a="crm/y:1,z:1")
    disk.answer()
    assert disk.books.told == [("withdrawn", "crm/x"), ("deployed", "crm/z")]
    assert disk.reloading.in_force("crm/x") is None
    disk.look(a=None)
    assert disk.books.told[2:] == [("withdrawn", "crm/y"), ("withdrawn", "crm/z")]


def test_a_file_begins_and_ceases_to_have_instances(disk: Disk) -> None:
    started(disk, a="crm")
    disk.look(a="crm/x:1")
    disk.answer()
    assert disk.names() == {"crm/x": "a"}
    disk.look(a="crm")
    disk.answer()
    assert disk.names() == {"crm": "a"}


def test_a_bad_edit_leaves_all_instances_in_force_and_mending_it_tells_of_none_that_is_as_it_was(disk: Disk) -> None:
    started(disk, a="crm/x:1,y:1")
    disk.look(a="bad")
    disk.answer()
    assert disk.names() == {"crm/x": "a", "crm/y": "a"}
    assert disk.books.told == [("invalid", shown("a"))]
    disk.look(a="crm/x:1,y:2")
    disk.answer()
    assert disk.books.told[1:] == [("mended", shown("a")), ("deployed", "crm/y")]


def test_a_file_that_goes_back_to_what_is_in_force_is_mended_and_no_more(disk: Disk) -> None:
    started(disk, a="one")
    disk.look(a="bad")
    disk.answer()
    disk.look(a="one")
    disk.answer()
    assert disk.books.told == [("invalid", shown("a")), ("mended", shown("a"))]


def test_two_files_of_one_base_name_compete_for_it_whatever_instances_they_have(disk: Disk) -> None:
    started(disk, a="crm/x:1")
    disk.look(b="crm/y:1", c="crm")
    disk.answer()
    assert disk.names() == {"crm/x": "a"}
    assert disk.books.invalid_files.keys() == {shown("b"), shown("c")}
    disk.look(a=None)
    disk.answer()
    assert disk.names() == {"crm/y": "b"}
    assert disk.books.invalid_files.keys() == {shown("c")}


def test_a_file_that_takes_another_name_keeps_the_instances_that_both_have(disk: Disk) -> None:
    started(disk, a="crm/x:1,y:1")
    disk.look(a=None, b="crm/y:1,z:1")
    disk.answer()
    assert disk.names() == {"crm/y": "b", "crm/z": "b"}
    assert disk.books.told == [("withdrawn", "crm/x"), ("deployed", "crm/y"), ("deployed", "crm/z")]


def test_other_code_is_told_of_every_instance_that_it_may_make_a_difference_to(disk: Disk) -> None:
    started(disk, a="crm/x:1,y:1 1")
    disk.look(a="crm/x:1,y:1 2", code="2")
    disk.imported()
    assert disk.books.told == [("deployed", "crm/x"), ("deployed", "crm/y")]


def test_after_a_restart_all_instances_come_back_by_the_newest_version_of_their_file(disk: Disk) -> None:
    disk.reloading.remember([snapshot("a", "crm/x:1"), snapshot("a", "crm/x:2,y:1")])
    disk.look(a="bad")
    disk.imported()
    assert disk.names() == {"crm/x": "a", "crm/y": "a"}
    assert disk.books.scheduled["crm/x"].revision == "2"


def test_after_a_restart_the_last_good_version_comes_back(disk: Disk) -> None:
    disk.reloading.remember([snapshot("a", "one")])
    disk.look(a="bad")
    disk.imported()
    assert disk.names() == {"one": "a"}
    assert disk.books.told == [("invalid", shown("a")), ("restored", shown("a")), ("deployed", "one")]


def test_an_edit_while_the_last_good_version_comes_back_does_not_lose_it(disk: Disk) -> None:
    disk.reloading.remember([snapshot("a", "one")])
    disk.look(a="bad")
    disk.imported(answers=False)
    disk.answer_one(disk.generations[0])
    disk.look(a="bad still")
    disk.answer()
    assert disk.names() == {"one": "a"}


def test_a_last_good_version_whose_name_another_file_has_stays_away(disk: Disk) -> None:
    disk.reloading.remember([snapshot("a", "one")])
    disk.look(a="bad", b="one")
    disk.imported()
    assert disk.names() == {"one": "b"}
    assert disk.books.invalid_files[shown("a")][0].code == "bad"


def test_after_the_launcher_is_lost_everything_goes_on_in_the_next(disk: Disk) -> None:
    started(disk, a="one", b="two")
    disk.look(b="bad")
    disk.answer()
    disk.lose(disk.generations[0])
    assert disk.names() == {"one": "a", "two": "b"}
    disk.reloading.revalidate()
    disk.imported()
    assert (disk.code_of("one"), disk.code_of("two")) == ("1", "1")
    assert {disk.reloading.in_force(name).generation for name in ("one", "two")} == {disk.generations[1]}  # type: ignore[union-attr]


def test_a_version_whose_launcher_is_lost_and_that_new_code_does_not_suit_is_stranded(disk: Disk) -> None:
    started(disk, a="one 1")
    disk.look(code="2")
    disk.imported()
    disk.lose(disk.generations[0])
    assert not disk.generations[1].retired
    disk.reloading.revalidate()
    assert not disk.reloading.is_stranded("one")
    disk.imported()
    assert disk.reloading.is_stranded("one")
    assert ("stranded", "one") in disk.books.told
    disk.look(code="1")
    disk.imported()
    assert not disk.reloading.is_stranded("one")
    assert disk.code_of("one") == "1"


def test_where_no_process_can_be_had_nothing_is_lost() -> None:
    disk = started(Disk(), a="one")
    make, errors = disk.reloading._new_generation, [OSError("no process")]

    def fail(refused: Any) -> Any:
        if errors:
            raise errors.pop()
        return make(refused)

    disk.reloading._new_generation = fail
    with pytest.raises(OSError, match="no process"):
        disk.look(code="2", a="one 2")
    assert disk.names() == {"one": "a"}
    disk.reloading.revalidate()
    disk.imported()
    assert disk.books.scheduled["one"].revision == "one 2"


def test_a_module_that_has_ended_a_launcher_holds_up_no_other_code(disk: Disk) -> None:
    disk.look(a="one", b="two 2")
    disk.generations[-1].refused[CODE] = "it hung"
    disk.imported()
    assert disk.tries == [{}, None]
    assert disk.reloading.settled
    assert disk.names() == {"one": "a"}
    disk.look(c="bad")
    disk.answer()
    assert shown("c") in disk.books.invalid_files
    disk.look(other="2")
    assert disk.tries == [{}, None]
    disk.reloading.revalidate()
    assert disk.tries[2:] == [{CODE: "it hung"}]
    disk.imported()
    assert disk.tries[3:] == [None]
    disk.imported()
    assert len(disk.tries) == 4
    disk.look(code="2")
    assert disk.tries[4:] == [{}]
    disk.imported()
    assert disk.names()["two"] == "b"


@pytest.mark.parametrize(
    ("wanted", "held", "granted"),
    [
        ({"a": "x"}, {}, {"a"}),
        ({"a": "x", "b": "x"}, {}, {"a"}),
        ({"a": "y", "b": "x"}, {"a": "x", "b": "y"}, {"a", "b"}),
        ({"a": "y", "b": "z"}, {"a": "x", "b": "y", "c": "z"}, set()),
        ({"a": "y", "b": "z", "c": "x"}, {"a": "x", "b": "y", "c": "z"}, {"a", "b", "c"}),
        ({"a": "x"}, {"a": "x"}, {"a"}),
        ({"a": "x", "b": "x"}, {"b": "x"}, {"b"}),
    ],
)
def test_names_are_granted_where_who_has_them_gives_them_up(
    wanted: dict[str, str], held: dict[str, str], granted: set[str]
) -> None:
    assert exchanged(wanted, held) == granted


FILES = st.sampled_from("abc")
TEXTS = st.one_of(
    st.none(),
    st.just("bad"),
    st.sampled_from(["x", "y", "z", "x 1", "y 1", "x 2", "z 2"]),
    st.sampled_from(["x/a:1,b:1", "x/a:1,b:2", "x/b:2,c:1", "y/a:1", "y/a:1,b:1 1", "x/a:1,c:1 2", "z/a:1 1"]),
)


class Reloads(RuleBasedStateMachine):
    """Edits, imports, answers and deaths in any order: in the end, what is valid is in force."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.disk.look()
        self.valid_before: set[str] = set()

    @rule(file=FILES, text=TEXTS)
    def edit(self, file: str, text: str | None) -> None:
        self.disk.look(**{file: text})

    @rule(edits=st.dictionaries(FILES, TEXTS, min_size=2))
    def edit_several(self, edits: dict[str, Any]) -> None:
        self.disk.look(**edits)

    @rule(code=st.sampled_from("12"))
    def edit_code(self, code: str) -> None:
        self.disk.look(code=code)

    @rule()
    def hang_up(self) -> None:
        self.disk.reloading.revalidate()

    @precondition(lambda self: self.disk.reloading._importing is not None)
    @rule()
    def import_code(self) -> None:
        self.disk.imported(answers=False)

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        asked = [generation for generation in self.disk.generations if generation.asked]
        if asked:
            self.disk.answer_one(data.draw(st.sampled_from(asked)))

    @precondition(lambda self: self.disk.reloading.current is not None)
    @rule()
    def lose(self) -> None:
        current: Any = self.disk.reloading.current
        self.disk.lose(current)
        self.disk.reloading.revalidate()

    @rule()
    def come_to_rest(self) -> None:
        if self.disk.reloading._importing is not None:
            self.disk.imported(answers=False)
        self.disk.answer()
        assert self.disk.reloading.settled
        wanted = {file: text for file, text in self.disk.texts.items() if self._is_valid(text)}
        invalid = {file.rpartition("/")[2].removesuffix(".conf") for file in self.disk.books.invalid_files}
        assert set(self.disk.texts) - set(wanted) <= invalid <= set(self.disk.texts)
        holders = {base_name(name): file for name, file in self.disk.names().items()}
        for file, text in wanted.items():
            holder = holders.get(base_name(text.partition(" ")[0]))
            assert holder is not None
            assert (file in invalid) == (holder != file)
            if holder == file:
                revisions = {name: self.disk.books.scheduled[name].revision for name in self._names_of(file)}
                assert revisions == names(text)
                assert {self.disk.code_of(name) for name in revisions} == {self.disk.code}
                assert all(self.disk.books.kept[name] == snapshot(file, text) for name in revisions)
        alive = [each for each in self.disk.generations if not each.retired]
        assert len(alive) <= 1 + len(self.disk.texts) + self._lost()

    def _names_of(self, file: str) -> list[str]:
        return [name for name, holder in self.disk.names().items() if holder == file]

    def _is_valid(self, text: str) -> bool:
        name, _, needs = text.partition(" ")
        return name != "bad" and needs in ("", self.disk.code)

    def _lost(self) -> int:
        known: list[Any] = list(self.disk.reloading.generations)
        return sum(each not in known for each in self.disk.generations)

    @invariant()
    def what_is_scheduled_is_in_force(self) -> None:
        in_force = {each.version.name: each.version for each in self.disk.reloading.pipelines}
        assert in_force.keys() == self.disk.books.scheduled.keys()
        for name in in_force:
            found = self.disk.reloading.in_force(name)
            assert found is not None
            assert found.version == self.disk.books.scheduled[name]
            assert found.snapshot == self.disk.books.kept[name]

    @invariant()
    def a_base_name_is_one_files_and_all_that_this_makes_is_of_one_version(self) -> None:
        files: dict[str, str] = {}
        snapshots: dict[str, Any] = {}
        for name, file in self.disk.names().items():
            assert files.setdefault(base_name(name), file) == file
            kept = self.disk.books.kept[name]
            assert snapshots.setdefault(file, kept) == kept

    @invariant()
    def no_version_runs_with_code_that_is_let_go(self) -> None:
        for each in self.disk.reloading.pipelines:
            generation: Any = each.generation
            assert isinstance(generation, FakeGeneration)
            assert not generation.retired


TestReloads = Reloads.TestCase
TestReloads.settings = settings(max_examples=budget(150), stateful_step_count=25)

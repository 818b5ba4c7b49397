"""The task `scan_sql`: what it traces, what it says it could not, and that neither time nor nonsense stops it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tasks import make, module

from tasker.project import Project
from tasker.settings import Settings

Scan = Callable[..., dict[str, Any]]


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """Scan files by their names; answers the outputs, with the records under `records`."""

    def scanned(files: dict[str, str] | str, **arguments: Any) -> dict[str, Any]:
        for name, text in ({"a.sql": files} if isinstance(files, str) else files).items():
            file = tmp_path / "sql" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        arguments = {"dialect": "tsql", "minimum_edges": 0, "minimum_share": 0, **arguments}
        outputs = make("scan_sql", tmp_path).run(tmp_path / "sql", tmp_path / "out.jsonl", **arguments)
        return {**outputs, "records": [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]}

    return scanned


def edges(found: dict[str, Any]) -> set[str]:
    return {
        f"{each['from_table']}.{each['from_column']} > {each['to_table']}.{each['to_column']}"
        for each in found["records"]
        if each["record"] == "edge"
    }


def reasons(found: dict[str, Any]) -> list[str]:
    return [each["reason"] for each in found["records"] if each["record"] == "untraced"]


def filters(found: dict[str, Any]) -> set[str]:
    return {f"{each['from_table']} > {each['to_table']}" for each in found["records"] if each["record"] == "filter"}


TRACED = {
    "a column that is copied, and one that is computed": (
        "create table t as select a, b + c as d from s",
        "s.a > t.a, s.b > t.d, s.c > t.d",
    ),
    "INSERT by the position of listed columns": ("insert into t (x, y) select a, b from s", "s.a > t.x, s.b > t.y"),
    "INSERT by the columns of a table made before": (
        "create table t (x int, y int); insert into t select a, b from s",
        "s.a > t.x, s.b > t.y",
    ),
    "INSERT VALUES with a subquery": ("insert into t (x, y) values (1, (select max(a) from s))", "s.a > t.y"),
    "a view's own column names": ("create view v (x, y) as select a, b from s", "s.a > v.x, s.b > v.y"),
    "SELECT INTO": ("select a into t from s", "s.a > t.a"),
    "SELECT INTO in the first part of a UNION": (
        "select a into t from s union all select z from r",
        "s.a > t.a, r.z > t.a",
    ),
    "UPDATE by an alias": (
        "update x set x.a = y.b, c = 1 from tbl x join y on x.i = y.i where y.z = 1",
        "y.b > tbl.a",
    ),
    "UPDATE without FROM": ("update t set a = b + 1 where c = 2", "t.b > t.a"),
    "UPDATE by a subquery": ("update t set a = (select max(s.b) from s where s.i = t.i)", "s.b > t.a"),
    "MERGE": (
        """merge into t using s on t.i = s.i when matched then update set a = s.b
           when not matched then insert (a, c) values (s.d, s.e)""",
        "s.b > t.a, s.d > t.a, s.e > t.c",
    ),
    "common table expressions, also before INSERT": (
        "with w as (select a as b from s), v (c) as (select b from w) insert into t (x) select c from v",
        "s.a > t.x",
    ),
    "a temporary table, by its own name": (
        "select a, b into #tmp from s; select * into t from #tmp",
        "s.a > #tmp.a, s.b > #tmp.b, #tmp.a > t.a, #tmp.b > t.b",
    ),
    "a column that passes through a `*`": ("create table t as select q.a from (select * from s) q", "s.a > t.a"),
    "a `*` of a table known by its definition": (
        "create table s (a int, b int); select * into t from s",
        "s.a > t.a, s.b > t.b",
    ),
    "a `*` beside USING has the shared column once": (
        """create table s (i int, a int); create table r (i int, b int);
           create table t as select * from s join r using (i)""",
        "s.i > t.i, s.a > t.a, r.b > t.b",
    ),
    "a bare name that only one table can have": (
        "create table s (i int, a int); create table r (i int, b int); select a, b into t from s, r where s.i = r.i",
        "s.a > t.a, r.b > t.b",
    ),
    "a subquery that reads from outside": (
        "select (select max(r.b + s.c) from r where r.i = s.i) as m into t from s",
        "r.b > t.m, s.c > t.m",
    ),
    "APPLY": ("select x.n into t from s cross apply (select r.n from r where r.i = s.i) x", "r.n > t.n"),
    "both branches of IF": ("if 1 = 1 select a into t from s", "s.a > t.a"),
    "a function in FROM": ("select x.value into t from s cross apply string_split(s.c, ',') x", "s.c > t.value"),
    "VALUES in FROM": ("select v.a, s.b into t from s join (values (1, 2)) as v (a, i) on v.i = s.i", "s.b > t.b"),
    "names in any case, as T-SQL has it": ("SELECT A INTO Dbo.T FROM S AS x", "s.a > dbo.t.a"),
    "batches that end with GO": ("select a into t from s\nGO\nselect b into u from s\ngo\n", "s.a > t.a, s.b > u.b"),
}


@pytest.mark.parametrize(("sql", "expected"), TRACED.values(), ids=TRACED.keys())
def test_it_traces(scan: Scan, sql: str, expected: str) -> None:
    found = scan(sql)
    assert (edges(found), reasons(found)) == (set(expected.split(", ")), [])
    assert found["columns"] == found["columns_traced"]


OTHER_DIALECTS = {
    "a recursive query": (
        """create table t as with recursive r as (
             select id, p from s union all select s.id, r.p from s join r on s.p = r.id
           ) select p from r""",
        "postgres",
        "s.p > t.p",
    ),
    "a recursive query that names its columns": (
        """create view v as with recursive r (a, b) as (select i, p from s union all select s.i, r.b from s, r)
           select b from r""",
        "postgres",
        "s.p > v.b",
    ),
    "LATERAL": (
        "create view v as select x.n from s, lateral (select r.m from r where r.i = s.i) x (n)",
        "postgres",
        "r.m > v.n",
    ),
    "a function in FROM": ("create table t as select u.x from s, unnest(s.arr) as u(x)", "postgres", "s.arr > t.x"),
    "a row as one value": (
        "create table s (a int, b int); create view v as select s.*::text as r, count(s.*) as n from s",
        "postgres",
        "s.a > v.r, s.b > v.r",
    ),
    "rows that are locked, and a join in brackets": (
        """create view v as select s.a, x.n
           from (s cross join lateral (select r.m from r where r.i = s.i for update of r) x (n)) for share of s""",
        "postgres",
        "s.a > v.a, r.m > v.n",
    ),
    "functions in FROM, which are no tables": (
        """create view v as select x.a, t.b
           from s, rows from (generate_series(1, s.n)) x (a), json_to_recordset(s.doc) as t (b int)""",
        "postgres",
        "s.n > v.a, s.doc > v.b",
    ),
    "columns that are set together": ("update t set (a, b) = (select x, y from s)", "postgres", "s.x > t.a, s.y > t.b"),
    "a column named before in the same SELECT": (
        "create table t as select a as b, b + 1 as c from s",
        "snowflake",
        "S.A > T.B, S.A > T.C",
    ),
    "`*` EXCEPT": (
        "create table s (a int, b int); create table t as select * except (b) from s",
        "bigquery",
        "s.a > t.a",
    ),
    "INSERT BY NAME": ("insert into t by name select a, b as c from s", "duckdb", "s.a > t.a, s.b > t.c"),
}


@pytest.mark.parametrize(("sql", "dialect", "expected"), OTHER_DIALECTS.values(), ids=OTHER_DIALECTS.keys())
def test_it_traces_in_another_dialect(scan: Scan, sql: str, dialect: str, expected: str) -> None:
    found = scan(sql, dialect=dialect)
    assert (edges(found), reasons(found)) == (set(expected.split(", ")), [])


UNTRACED = {
    "a `*` that cannot be expanded": (
        "select * into t from s",
        ["a `*` stands for the columns of s, which are not known"],
    ),
    "what a `*` leaves without position": (
        "insert into t (x, y) select s.*, 1 from s",
        ["a `*` stands for the columns of s, which are not known"] * 2,
    ),
    "a bare name that two tables may have": ("select a into t from s, r", ["`a` may be a column of r or s"]),
    "INSERT into columns that are not known": (
        "insert into t select a from s",
        ["the columns of t are not known, and the statement does not list them"],
    ),
    "more columns than are listed": ("insert into t (x) select a, b from s", ["2 columns are selected for 1"]),
    "a column without a name": ("select a + 1 into t from s", ["the name of the column that is written is not known"]),
    "an alias that is not there": ("select z.a into t from s", ["nothing in FROM is named z, of which `a` is read"]),
    "a procedure that is called": ("exec dbo.load 1", ["what EXECUTE does is not known"]),
    "a routine's body": (
        "create procedure p as begin insert into t (a) select a from s end",
        ["the body of a procedure is not traced"],
    ),
    "a PIVOT": ("select x into t from s pivot (sum(v) for k in ([x])) p", ["what a PIVOT makes is not traced"]),
    "a quote that is never closed": ("select 'a into t from s", ["a quote or comment in it is never closed"]),
    "nonsense": ("select from where", ["it cannot be parsed: Expected table name at 'where'"]),
}


@pytest.mark.parametrize(("sql", "expected"), UNTRACED.values(), ids=UNTRACED.keys())
def test_it_says_why_it_does_not_trace(scan: Scan, sql: str, expected: list[str]) -> None:
    found = scan(sql)
    assert (reasons(found), edges(found)) == (expected, set())
    assert found["untraced"] == len(expected)


def test_a_constant_is_traced_and_counted_as_one(scan: Scan) -> None:
    found = scan("select 1 as a, count(*) as n, s.b into t from s")
    assert (found["columns"], found["columns_traced"], found["columns_constant"]) == (3, 3, 2)
    assert edges(found) == {"s.b > t.b"}


def test_no_edge_ever_leads_to_a_column_named_star(scan: Scan) -> None:
    found = scan("select * into t from s; insert into t select *, a from s; create view v as select s.* from s")
    assert edges(found) == set()
    assert found["untraced"] == 4


def test_what_is_known_of_a_column_is_kept_beside_what_is_not(scan: Scan) -> None:
    found = scan("select s.a + b as c, s.d into t from s, r")
    assert edges(found) == {"s.a > t.c", "s.d > t.d"}
    assert (found["columns"], found["columns_traced"]) == (2, 1)


def test_a_bad_statement_loses_only_itself(scan: Scan) -> None:
    found = scan(
        "select a into t from s;\nselect 'x into u from s;\n\nselect b into v from s;\n"
        "select ) from;\nselect c into w from s"
    )
    assert edges(found) == {"s.a > t.a", "s.b > v.b", "s.c > w.c"}
    assert [each["line"] for each in found["records"]] == [1, 2, 4, 5, 6]
    assert (found["statements"], found["statements_failed"]) == (5, 2)


def test_tables_that_only_filter_or_join_are_listed(scan: Scan) -> None:
    found = scan("select s.a into t from s join r on s.i = r.i where exists (select 1 from q where q.i = s.i)")
    assert filters(found) == {"r > t", "q > t"}


def test_a_table_made_in_a_later_file_expands_a_star_in_an_earlier_one(scan: Scan) -> None:
    found = scan({"1.sql": "select * into u from t", "2.sql": "select a into t from s"})
    assert edges(found) == {"s.a > t.a", "t.a > u.a"}


def test_a_temporary_table_is_not_known_to_another_file(scan: Scan) -> None:
    found = scan({"1.sql": "select a into #x from s", "2.sql": "select * into t from #x"})
    assert edges(found) == {"s.a > #x.a"}


def test_a_table_with_two_definitions_is_not_expanded(scan: Scan) -> None:
    found = scan("create table s (a int); create table s (a int, b int); select * into t from s")
    assert edges(found) == set()


def test_an_altered_table_is_not_expanded(scan: Scan) -> None:
    found = scan("create table s (a int); alter table s add b int; select * into t from s")
    assert edges(found) == set()


def test_a_schema_file_expands_a_star(scan: Scan, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"dbo.S": ["A", "B"]}')
    found = scan("select * into t from dbo.s", schema=schema)
    assert edges(found) == {"dbo.s.a > t.a", "dbo.s.b > t.b"}


@pytest.mark.parametrize("text", ["[]", '{"s": "a"}', "nonsense"])
def test_a_schema_file_that_is_none_is_refused(scan: Scan, tmp_path: Path, text: str) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(text)
    with pytest.raises(ValueError, match="`schema` is not a JSON object"):
        scan("select 1", schema=schema)


def test_parameters_of_a_template_are_put_in_longest_first(scan: Scan) -> None:
    found = scan(
        "select a into @scratch@delim@scratchPrefix_1 from @cdm.person",
        parameters={"scratch": "tmp", "scratchPrefix": "x", "delim": ".", "cdm": "omop"},
    )
    assert edges(found) == {"omop.person.a > tmp.x_1.a"}


def test_a_parameter_without_a_value_stays_in_the_name(scan: Scan) -> None:
    assert edges(scan("select a into t from @cdm.person")) == {"@cdm.person.a > t.a"}


def test_a_statement_that_takes_too_long_is_listed_and_the_rest_goes_on(scan: Scan) -> None:
    union = " union all ".join(["select a from s"] * 3000)
    before = signal.getsignal(signal.SIGALRM)
    found = scan(
        f"create table t as {union};\nselect a into u from s", timeout=timedelta(seconds=0.3), minimum_statements=2
    )
    assert edges(found) == {"s.a > u.a"}
    assert reasons(found) in (["it took longer than 0.3 s"], ["it is nested too deeply"])
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_time_limit_ends_what_catches_every_exception() -> None:
    limit = module("_time_limit")

    def stubborn() -> None:
        while True:
            with contextlib.suppress(Exception):
                threading.Event().wait(10)

    with pytest.raises(limit.TimeLimitExceeded, match=r"longer than 0\.05 s"), limit.time_limit(0.05):
        stubborn()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("sql", [f"select {'(' * 5000}1{')' * 5000} as a into t", f"select {'not ' * 20000} 1"])
def test_nesting_is_bounded(scan: Scan, sql: str) -> None:
    found = scan(sql + ";\nselect a into u from s")
    assert edges(found) == {"s.a > u.a"}
    assert found["statements_failed"] == 1


def test_a_file_that_is_no_text_or_too_large_is_listed(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "latin.sql").write_bytes("select é".encode("latin-1"))
    (tmp_path / "sql" / "utf16.sql").write_bytes("select a into t from s".encode("utf-16"))
    found = scan({"large.sql": "select 1" + " " * 100}, max_file_size=99)
    assert edges(found) == {"s.a > t.a"}
    assert sorted(reasons(found)) == [
        "the file has 108 bytes, and `max_file_size` is 99",
        "the file is neither UTF-8 nor UTF-16",
    ]


def test_an_absent_or_empty_folder_is_a_failure(tmp_path: Path) -> None:
    task = make("scan_sql", tmp_path)
    with pytest.raises(NotADirectoryError, match="`path` does not exist"):
        task.run(tmp_path / "sql", tmp_path / "out.jsonl")
    (tmp_path / "sql").mkdir()
    with pytest.raises(FileNotFoundError, match="nothing to scan"):
        task.run(tmp_path / "sql", tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("sql", "floor", "message"),
    [
        ("-- nothing", {}, "0 statements, and `minimum_statements` is 1"),
        ("select 1", {"minimum_edges": 1}, "0 edges, and `minimum_edges` is 1"),
        ("select ); select ); select 1", {"minimum_share": 0.5}, "1 of 3 are readable, and `minimum_share` is 0.5"),
    ],
)
def test_a_scan_below_its_floor_fails_and_leaves_the_last_output(
    scan: Scan, tmp_path: Path, sql: str, floor: dict[str, float], message: str
) -> None:
    (tmp_path / "out.jsonl").write_text("the last good output")
    with pytest.raises(ValueError, match=message):
        scan(sql, **floor)
    assert (tmp_path / "out.jsonl").read_text() == "the last good output"


def test_the_dialects_are_those_that_sqlglot_has() -> None:
    from sqlglot.dialects import Dialects

    assert set(get_args(module("scan_sql").DialectName)) == {str(each.value) for each in Dialects}


def test_an_unknown_dialect_is_told_before_anything_runs(tmp_path: Path) -> None:
    text = "tasks = [{ name = scan_sql, args { path = x, output = y, dialect = tsqll } }]"
    (tmp_path / "scan.conf").write_text(text)
    (fault,) = Project(Settings(environment={})).load(tmp_path / "scan.conf").faults
    assert (fault.code, fault.place.column) == ("bad-argument", text.index("tsqll") + 1)
    assert fault.message.endswith("did you mean 'tsql'?")


def test_the_same_input_gives_the_same_bytes_and_is_not_written_again(scan: Scan, tmp_path: Path) -> None:
    files = {"b.sql": "select s.a, r.b into t from s, r; select * from", "sub/a.sql": "merge into x using y on 1=1"}
    scan(files)
    first, written = (tmp_path / "out.jsonl").read_bytes(), (tmp_path / "out.jsonl").stat()
    scan(files)
    assert (tmp_path / "out.jsonl").read_bytes() == first
    assert (tmp_path / "out.jsonl").stat().st_ino == written.st_ino
    assert (tmp_path / "out.jsonl").stat().st_mtime_ns == written.st_mtime_ns


def test_patterns_choose_the_files_and_links_out_of_the_folder_are_passed_over(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "secret.sql").write_text("select a into stolen from s")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "link.sql").symlink_to(tmp_path / "secret.sql")
    found = scan({"a.sql": "select a into t from s", "b.ddl": "select b into u from s"}, pattern=["*.ddl", "l*.sql"])
    assert edges(found) == {"s.b > u.b"}
    assert found["files"] == 1


def test_the_summary_is_for_people(scan: Scan) -> None:
    found = scan("select a, b into t from s;\nselect x into u from s, r;\nselect )")
    assert found["summary"].splitlines() == [
        "files       1",
        "statements  3, 1 of them failed",
        "columns     3 written, 2 traced, 0 of these constant",
        "edges       2 between the columns of 2 tables",
        "failed      a.sql:3: it cannot be parsed: Invalid expression / Unexpected token at ')'",
        "untraced    1 times: `x` may be a column of r or s",
    ]


def test_real_sql_is_traced_and_what_is_not_is_listed(tmp_path: Path) -> None:
    duckcdm = pytest.importorskip("duckcdm")
    found = make("scan_sql", tmp_path).run(
        Path(duckcdm.__file__).parent / "achilles" / "sql",
        tmp_path / "out.jsonl",
        dialect="tsql",
        parameters={"scratchDatabaseSchema": "scratch", "schemaDelim": "."},
    )
    assert (found["files"], found["statements"], found["statements_failed"]) == (301, 580, 9)
    assert found["columns_traced"] > 3300
    assert found["edges"] > 2050


WORDS = re.findall(
    r"\S+",
    """select insert into update merge set from join on using with as union ( ) , ; * . = a b s t #t @p 1 'x'
       case when then end over exists go""",
)


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
@settings(max_examples=150)
def test_no_statement_stops_the_scan(tmp_path_factory: pytest.TempPathFactory, sql: str) -> None:
    folder = tmp_path_factory.mktemp("words")
    (folder / "a.sql").write_text(sql + ";\nselect a into marker from s")
    make("scan_sql", folder).run(folder, folder / "out.jsonl", dialect="tsql", minimum_edges=0, minimum_share=0)
    records = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert all(each.get("to_column") != "*" for each in records)

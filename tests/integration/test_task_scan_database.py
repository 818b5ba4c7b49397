"""The task `scan_database` against Debian's PostgreSQL, and SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support import ledgersmb
from support.postgres import Server
from support.tasks import make, module

database = module("_database")
DatabaseError = database.DatabaseError
Records = list[dict[str, Any]]
Scan = Callable[..., tuple[dict[str, Any], Records]]

SCHEMA = """
create schema crm;
create schema "Odd.Schema";
create type crm.mood as enum ('good', 'bad');
create type crm.pair as (a int, b text);
create table crm.person (
  id int generated always as identity primary key, name varchar(20) not null, born date, mood crm.mood, two crm.pair,
  tags text[]
);
comment on table crm.person is 'People';
comment on column crm.person.name is 'What they are called';
create table "Odd.Schema"."Order Line" (
  "Order Id" int, "Line" int, "the ""person"" there" int references crm.person (id), primary key ("Order Id", "Line")
);
create table crm.event (at date not null, person int, what text) partition by range (at);
create table crm.event_2026 partition of crm.event for values from ('2026-01-01') to ('2027-01-01');
create table crm.hollow ();
create view crm.adult (id, who) as select id, name from crm.person where born < '2008-01-01';
comment on view crm.adult is 'Grown up';
create view crm.star as select * from crm.adult a left join crm.event e on e.person = a.id;
create materialized view crm.totals as
  select "Order Id" as o, sum("Line") as n from "Odd.Schema"."Order Line" group by 1;
create view crm.row as select to_json(p.*) as whole, x.what from crm.person p
  cross join lateral (select e.what from crm.event e where e.person = p.id limit 1) x;
create view crm.busy as with recursive r (id, up) as (
    select id, person from crm.star union all select r.id, s.person from r join crm.star s on s.id = r.up
  ) select r.id, max(r.up) as top from r where r.id in (select "the ""person"" there" from "Odd.Schema"."Order Line")
  group by 1;
create view crm.roles as select rolname from pg_catalog.pg_roles;
create view crm.deep as select DEEP as n from crm.person;
create role nobody_much login;
create role usage_alone login;
create role half login;
grant usage on schema crm to half, usage_alone;
grant usage on schema "Odd.Schema" to usage_alone;
grant select (id) on crm.person to half;
""".replace("DEEP", "+".join(["id"] * 130))
"""What PostgreSQL answers of `deep` is nested more deeply than the parser may go."""


COLUMNS_READ = """
select distinct v.relnamespace::regnamespace || '.' || v.relname,
       t.relnamespace::regnamespace || '.' || t.relname, a.attname
from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class v on v.oid = r.ev_class
join pg_class t on t.oid = d.refobjid join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and v.oid <> t.oid
"""
"""View, table and column, as PostgreSQL keeps them to know what a change would break."""


@pytest.fixture(scope="module")
def url(postgres_server: Server) -> Iterator[str]:
    name = "scanned"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    with psycopg.connect(postgres_server.database(name), autocommit=True) as connection:
        connection.execute(SCHEMA)
    yield postgres_server.database(name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")
        connection.execute("drop role nobody_much, usage_alone, half")


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    """Scan a database; answers the outputs, and the records."""
    task = make("scan_database", tmp_path)

    def scanned(url: str, **arguments: Any) -> tuple[dict[str, Any], Records]:
        file = tmp_path / "out" / "database.jsonl"
        outputs = task.run(url, file, **arguments)
        return outputs, [json.loads(line) for line in file.read_text().splitlines()]

    return scanned


def of(records: Records, kind: str, **facts: object) -> Records:
    return [each for each in records if each["record"] == kind and facts.items() <= each.items()]


def edges(records: Records, view: str) -> set[str]:
    return {
        f"{each['from_table']}.{each['from_column']} > {each['to_column']}" for each in of(records, "edge", view=view)
    }


def as_role(url: str, role: str) -> str:
    return url.replace("//tasker@", f"//{role}@")


def test_the_catalogue_is_told(url: str, scan: Scan) -> None:
    outputs, records = scan(url)
    counts = {name: outputs[name] for name in ("schemas", "tables", "views", "primary_keys", "foreign_keys")}
    assert counts == {"schemas": 3, "tables": 5, "views": 7, "primary_keys": 2, "foreign_keys": 1}
    assert [each["schema"] for each in of(records, "schema")] == ["Odd.Schema", "crm", "public"]
    assert {each["table"]: each["kind"] for each in of(records, "relation")} == {
        '"Odd.Schema".Order Line': "table",
        "crm.adult": "view",
        "crm.busy": "view",
        "crm.deep": "view",
        "crm.event": "partitioned table",
        "crm.event_2026": "partition",
        "crm.hollow": "table",
        "crm.person": "table",
        "crm.roles": "view",
        "crm.row": "view",
        "crm.star": "view",
        "crm.totals": "materialized view",
    }
    columns = of(records, "column", table="crm.person")
    assert [(each["column"], each["type"], each["nullable"], each["comment"]) for each in columns] == [
        ("id", "INTEGER", False, None),
        ("name", "VARCHAR(20)", False, "What they are called"),
        ("born", "DATE", True, None),
        ("mood", "crm.mood", True, None),
        ("two", "crm.pair", True, None),
        ("tags", "TEXT[]", True, None),
    ]
    assert [each["position"] for each in columns] == [1, 2, 3, 4, 5, 6]
    assert {each["table"]: each["comment"] for each in of(records, "relation") if each["comment"]} == {
        "crm.person": "People",
        "crm.adult": "Grown up",
    }


def test_keys_are_told_with_names_that_must_be_quoted(url: str, scan: Scan) -> None:
    _, records = scan(url)
    (primary,) = of(records, "primary_key", table='"Odd.Schema".Order Line')
    assert primary["columns"] == ["Order Id", "Line"]
    (foreign,) = of(records, "foreign_key")
    assert (foreign["table"], foreign["columns"]) == ('"Odd.Schema".Order Line', ['the "person" there'])
    assert (foreign["to_table"], foreign["to_columns"]) == ("crm.person", ["id"])


def test_views_are_told_with_their_queries_and_traced(url: str, scan: Scan) -> None:
    _, records = scan(url)
    (view,) = of(records, "view", table="crm.adult")
    assert " ".join(view["definition"].split()) == (
        "SELECT person.id, person.name AS who FROM crm.person WHERE (person.born < '2008-01-01'::date);"
    )
    assert edges(records, "crm.adult") == {"crm.person.id > id", "crm.person.name > who"}
    assert edges(records, "crm.totals") == {
        '"Odd.Schema".Order Line.Order Id > o',
        '"Odd.Schema".Order Line.Line > n',
    }
    assert edges(records, "crm.star") == {
        "crm.adult.id > id",
        "crm.adult.who > who",
        "crm.event.at > at",
        "crm.event.person > person",
        "crm.event.what > what",
    }


def test_every_edge_joins_columns_that_the_catalogue_tells(url: str, scan: Scan) -> None:
    _, records = scan(url)
    known = {(each["table"], each["column"]) for each in of(records, "column")} | {("pg_catalog.pg_roles", "rolname")}
    ends = {(each[f"{end}_table"], each[f"{end}_column"]) for each in of(records, "edge") for end in ("from", "to")}
    assert ends
    assert ends <= known


def test_postgresql_agrees_on_the_columns_that_each_view_reads(url: str, scan: Scan) -> None:
    _, records = scan(url)
    with psycopg.connect(url) as connection:
        read = {tuple(row) for row in connection.execute(COLUMNS_READ)}
    traced = {each["table"] for each in of(records, "view")} - {each["view"] for each in of(records, "untraced")}
    sources = {(each["view"], each["from_table"], each["from_column"]) for each in of(records, "edge")}
    assert {each for each in sources if each[0] != "crm.row"} <= read  # of a row as one value it keeps the table alone
    of_tables = {(each["view"], each["from_table"]) for kind in ("edge", "filter") for each in of(records, kind)}
    assert of_tables == {(view, table) for view, table, _ in read if view in traced}


def test_a_view_that_cannot_be_read_is_told_and_not_lost(url: str, scan: Scan) -> None:
    outputs, records = scan(url)
    assert outputs["views_failed"] == 1
    (gap,) = of(records, "untraced")
    assert gap["view"] == "crm.deep"
    assert "nested" in gap["reason"]
    assert of(records, "view", table="crm.deep")
    assert of(records, "column", table="crm.deep", column="n")
    assert "crm.deep: its brackets are nested" in outputs["summary"]
    with pytest.raises(DatabaseError, match="6 of 7 views are traced, and `minimum_share` is 1"):
        scan(url, minimum_share=1.0)


def test_the_same_database_gives_the_same_bytes_and_is_not_written_twice(url: str, scan: Scan, tmp_path: Path) -> None:
    file = tmp_path / "out" / "database.jsonl"
    scan(url)
    before = file.read_bytes(), file.stat().st_ino
    scan(url)
    assert (file.read_bytes(), file.stat().st_ino) == before


def test_only_the_schemas_that_are_asked_for_are_read(url: str, scan: Scan) -> None:
    outputs, records = scan(url, schemas=["Odd.Schema"])
    assert (outputs["schemas"], outputs["tables"], outputs["views"]) == (1, 1, 0)
    assert of(records, "foreign_key")[0]["to_table"] == "crm.person"


@pytest.mark.parametrize(
    ("role", "arguments", "says"),
    [
        ("tasker", {"schemas": ["crn"]}, "there is no schema crn; there are Odd.Schema, crm, public"),
        ("tasker", {"schemas": ["public"]}, "too little was found: 0 tables and views, and `minimum_relations` is 1"),
        ("tasker", {"schemas": []}, "0 tables and views"),
        ("tasker", {"minimum_relations": 100}, "12 tables and views, and `minimum_relations` is 100"),
        ("tasker", {"minimum_edges": 100}, " edges, and `minimum_edges` is 100"),
        ("nobody_much", {}, r"may not read the schema Odd\.Schema, crm: grant it USAGE"),
        ("half", {}, r"may not read the schema Odd\.Schema: grant it USAGE"),
        (
            "usage_alone",
            {},
            r"may read 0 of 12 relations, and not Odd.Schema.Order Line, .*: grant it SELECT",
        ),
        ("half", {"schemas": ["crm"]}, r"may read 1 of 11 relations, and not crm\.adult, crm\.busy, .* and 5 more"),
        ("half", {"schemas": ["crm"], "minimum_readable": 0.5}, "may read 1 of 11 relations"),
    ],
)
def test_what_is_not_all_to_be_seen_or_empty_is_a_failure_and_leaves_the_last_output(
    url: str, scan: Scan, tmp_path: Path, role: str, arguments: dict[str, Any], says: str
) -> None:
    file = tmp_path / "out" / "database.jsonl"
    file.parent.mkdir()
    file.write_text("before")
    with pytest.raises(DatabaseError, match=says):
        scan(as_role(url, role), **arguments)
    assert file.read_text() == "before"


def test_a_role_that_may_read_definitions_alone_is_accepted_where_that_is_said(url: str, scan: Scan) -> None:
    _, whole = scan(url)
    assert scan(as_role(url, "usage_alone"), minimum_readable=0.0)[1] == whole


def test_a_catalogue_that_is_closed_is_a_failure(url: str, scan: Scan) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("revoke select on pg_catalog.pg_class from public")
        try:
            with pytest.raises(DatabaseError, match="permission denied for table pg_class"):
                scan(as_role(url, "half"), schemas=["crm"])
        finally:
            connection.execute("grant select on pg_catalog.pg_class to public")


def test_nothing_can_be_written_and_nothing_waits_for_ever(url: str) -> None:
    with database.opened(database.database_url(url, None), 7.0, 3.0) as connection:
        settings = {
            name: connection.execute(text(f"show {name}")).scalar()
            for name in ("transaction_read_only", "statement_timeout", "lock_timeout", "transaction_isolation")
        }
        with pytest.raises(DBAPIError, match="read-only transaction"):
            connection.execute(text("create table crm.mine ()"))
    assert settings == {
        "transaction_read_only": "on",
        "statement_timeout": "7s",
        "lock_timeout": "3s",
        "transaction_isolation": "repeatable read",
    }


def test_who_changes_a_view_is_not_waited_for_longer_than_is_said(url: str, scan: Scan) -> None:
    with psycopg.connect(url) as other:
        other.execute("lock table crm.adult in access exclusive mode")
        with pytest.raises(DatabaseError, match="canceling statement due to lock timeout"):
            scan(url, lock_timeout=timedelta(seconds=0.2))


def test_a_server_that_is_slow_is_given_up(url: str, scan: Scan) -> None:
    with psycopg.connect(url) as other:
        other.execute("lock table crm.adult in access exclusive mode")
        with pytest.raises(DatabaseError, match="canceling statement due to statement timeout"):
            scan(url, timeout=timedelta(seconds=0.5), lock_timeout=timedelta(seconds=60))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/crm?password=hunter2", "postgresql://me@127.0.0.1:1/crm: .*refused"),
        ("postgresql+psycopg2://me:hunter2@127.0.0.1:1/crm", "postgresql://me@127.0.0.1:1/crm: .*refused"),
        ("postgresql://me:hunter2@127.0.0.1:port/crm", "`url` is no database's"),
        ("mysql://me:hunter2@host/crm", "begins with mysql:, and only postgresql: and sqlite:"),
        ("hunter2", "`url` is no database's"),
        ("sqlite://", "`url` names no file"),
        ("sqlite:///x?key=hunter2", "`url` names no file"),
    ],
)
def test_no_message_shows_a_password(url: str, says: str, scan: Scan) -> None:
    with pytest.raises((DatabaseError, ValueError), match=says) as caught:
        scan(url, timeout=timedelta(seconds=5), password="hunter2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_is_shown_of_a_database_is_where_it_is(url: str, scan: Scan) -> None:
    outputs, _ = scan(url, password="hunter2")
    assert "database    postgresql://tasker@/scanned\n" in outputs["summary"]
    assert "hunter2" not in str(outputs)


# A database that no one here wrote


@pytest.fixture(scope="module")
def ledgersmb_url(postgres_server: Server) -> Iterator[str]:
    reason = ledgersmb.missing()
    if reason:
        pytest.skip(reason)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("create database ledgersmb")
        connection.execute("create role outsider login")
    ledgersmb.load(postgres_server.database("ledgersmb"))
    yield postgres_server.database("ledgersmb")
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("drop database ledgersmb with (force)")
        connection.execute("drop role outsider, scanner")


def test_ledgersmb_is_read_whole_and_every_view_traced(ledgersmb_url: str, scan: Scan) -> None:
    outputs, records = scan(as_role(ledgersmb_url, "scanner"))
    with psycopg.connect(ledgersmb_url) as connection:
        read = {tuple(row) for row in connection.execute(COLUMNS_READ)}
        (keys,) = connection.execute("select count(*) from pg_constraint where contype = 'f'").fetchone() or (0,)
    assert (outputs["tables"], outputs["views"], outputs["columns"]) == (166, 16, 1112)
    assert (outputs["foreign_keys"], outputs["views_failed"], outputs["untraced"]) == (keys, 0, 0)
    sources = {(each["view"], each["from_table"], each["from_column"]) for each in of(records, "edge")}
    assert {each for each in sources if not each[1].startswith("pg_catalog.")} <= read
    assert len(sources) > 100


def test_a_role_without_rights_sees_six_of_ledgersmb_which_is_a_failure(ledgersmb_url: str, scan: Scan) -> None:
    with pytest.raises(DatabaseError, match="may read 6 of 182 relations"):
        scan(as_role(ledgersmb_url, "outsider"))


# SQLite


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a b#c.db"
    connection = sqlite3.connect(file)
    connection.executescript("""
        create table Person (id integer primary key, "Full Name" text not null, anything);
        create table pet (id integer, owner integer references PERSON (Id), primary key (id));
        create view owner as select p.id, p."Full Name" as who from Person p where p.id in (select owner from pet);
    """)
    connection.close()
    return file


def test_sqlite_is_scanned_as_well(file: Path, scan: Scan) -> None:
    outputs, records = scan(f"sqlite:///{file}")
    assert (outputs["schemas"], outputs["tables"], outputs["views"]) == (0, 2, 1)
    assert {each["table"]: each["name"] for each in of(records, "relation")} == {
        "owner": "owner",
        "person": "Person",
        "pet": "pet",
    }
    types = [(each["column"], each["type"], each["nullable"]) for each in of(records, "column", table="person")]
    assert types == [("id", "INTEGER", True), ("full name", "TEXT", False), ("anything", "ANY", True)]
    assert edges(records, "owner") == {"person.id > id", "person.full name > who"}
    assert of(records, "filter", from_table="pet", to_table="owner")
    assert of(records, "foreign_key", table="pet")[0]["to_table"] == "person"
    assert of(records, "foreign_key", table="pet")[0]["to_columns"] == ["id"]


def test_sqlite_is_only_read_and_never_made(file: Path, scan: Scan, tmp_path: Path) -> None:
    before = file.read_bytes()
    with (
        database.opened(database.database_url(f"sqlite:///{file}", None), 5.0, 5.0) as connection,
        pytest.raises(DBAPIError, match="readonly"),
    ):
        connection.execute(text("create table mine (a)"))
    assert file.read_bytes() == before
    with pytest.raises(FileNotFoundError, match="there is no database"):
        scan(f"sqlite:///{tmp_path}/missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_sqlite_without_a_table_or_that_is_none_is_a_failure(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseError, match="0 tables and views"):
        scan(f"sqlite:///{tmp_path}/empty.db")
    (tmp_path / "text.db").write_text("this is a text, and no database at all\n" * 10)
    with pytest.raises(DatabaseError, match="not a database"):
        scan(f"sqlite:///{tmp_path}/text.db")

"""`tasker once` on a terminal: the live view."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.terminal import on_terminal, tasker

FAILING = r"""
tasks = [
  { id = good, name = shell_script, args { command = "for i in 1 2 3; do echo line $i; done", shell = true } }
  { id = bad, name = shell_script, retries { attempts = 2, delay = 10ms },
    args { command = "printf 'a [bold]b[/] \\033[2J :smile: \\377\\n'; exit 3", shell = true } }
  { id = late, name = shell_script, args { command = "true" } }
]
"""


def conf(folder: Path, text: str) -> str:
    (folder / "a.conf").write_text(text)
    return "a.conf"


def test_steps_end_as_what_they_came_to_below_what_they_printed(tmp_path: Path) -> None:
    shown = on_terminal("once", conf(tmp_path, FAILING), cwd=tmp_path)
    assert shown.status == 1
    lines = shown.screen
    assert [line for line in lines if line.startswith("good | ")] == [f"good | line {i}" for i in (1, 2, 3)]
    rows = {line.split()[1]: line for line in lines if line[:1] in set("✓✗-") and "shell_script" in line}
    assert rows["good"].startswith("✓")
    assert rows["bad"].startswith("✗")
    assert "attempt 2 of 2" in rows["bad"]
    assert rows["late"].startswith("-")
    assert "step 'bad' failed" in rows["late"]


def test_a_failed_run_ends_with_the_reason_and_the_last_lines(tmp_path: Path) -> None:
    lines = on_terminal("once", conf(tmp_path, FAILING), cwd=tmp_path, columns=200).screen
    reason = next(number for number, line in enumerate(lines) if line.startswith("✗ step 'bad' failed: "))
    assert "the program failed (exit_status=" in lines[reason]
    assert lines[reason + 1].strip() == "the last that it printed:"
    assert lines[reason + 2] == r"  a [bold]b[/] \x1b[2J :smile: \xff"
    (end,) = [line for line in lines if line.startswith("✗ a failed after")]
    assert "1 failed, 1 succeeded, 1 skipped" in end


def test_an_exception_is_shown_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "boom.py").write_text(
        "from tasker import Task\n\nclass Boom(Task):\n    def run(self):\n        raise ValueError('no such thing')\n"
    )
    lines = on_terminal("once", conf(tmp_path, "tasks = [{ name = boom }]"), cwd=tmp_path, columns=200).screen
    assert any(line.startswith("✗ step 'boom' failed: ") and "no such thing" in line for line in lines)
    assert any("Traceback" in line for line in lines)
    assert any("raise ValueError" in line for line in lines)


def test_no_colour_where_none_is_wanted(tmp_path: Path) -> None:
    shown = on_terminal("once", conf(tmp_path, FAILING), cwd=tmp_path, env={"NO_COLOR": "1"})
    assert "\x1b[31m" not in shown.raw
    assert ";31m" not in shown.raw
    assert "✗ a failed after" in shown.text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_no_unicode_gets_none(tmp_path: Path, encoding: str) -> None:
    text = 'tasks = [{ name = shell_script, args { command = echo, arguments = ["日本 é"] } }]'
    shown = on_terminal("once", conf(tmp_path, text), cwd=tmp_path, env={"PYTHONIOENCODING": encoding})
    assert shown.status == 0
    assert r"\u65e5\u672c" in shown.text
    assert "+ a succeeded in" in shown.text


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (10, 3), (500, 100)])
def test_many_steps_fit_into_any_terminal(tmp_path: Path, columns: int, rows: int) -> None:
    step = '{ name = shell_script, needs = [], args { command = "true" } },'
    text = f"max_parallel = 8\ntasks = [{step * 30}]"
    shown = on_terminal("once", conf(tmp_path, text), cwd=tmp_path, columns=columns, rows=rows)
    assert shown.status == 0
    assert "30 succeeded" in shown.text


def test_of_a_flood_every_line_is_shown_once(tmp_path: Path) -> None:
    text = "tasks = [{ id = a, name = shell_script, args { command = seq, arguments = [5000] } }]"
    shown = on_terminal("once", conf(tmp_path, text), cwd=tmp_path)
    assert shown.status == 0
    lines = [line.removeprefix("a | ") for line in shown.text.splitlines() if line.startswith("a | ")]
    assert lines == [str(number) for number in range(1, 5001)]


def test_ctrl_c_ends_the_run_and_gives_the_cursor_back(tmp_path: Path) -> None:
    text = 'tasks = [{ name = shell_script, args { command = "echo here; sleep 60", shell = true } }]'
    shown = on_terminal("once", conf(tmp_path, text), cwd=tmp_path, interrupt_at="here")
    assert shown.status == 130
    assert "a was interrupted after" in shown.text
    assert shown.raw.rindex("\x1b[?25h") > shown.raw.rindex("\x1b[?25l")


def test_in_a_pipe_the_view_can_be_asked_for_and_has_no_control_sequences(tmp_path: Path) -> None:
    ended = tasker("once", "--log-format", "console", conf(tmp_path, FAILING), cwd=tmp_path)
    assert ended.returncode == 1
    assert "\x1b" not in ended.stdout
    assert "good | line 1\n" in ended.stdout
    assert "✗ a failed after" in ended.stdout

"""The task `shell_script`, with real programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.tasks import make


def test_a_program_that_ends_well_is_true(tmp_path: Path) -> None:
    assert make("shell_script", tmp_path).run("true") is True


def test_a_program_that_ends_badly_is_false_and_its_status_is_logged(tmp_path: Path) -> None:
    task = make("shell_script", tmp_path)
    assert task.run("sh", ["-c", "exit 3"]) is False
    assert task.logger.records == [("error", "the program failed", {"exit_status": 3})]


def test_a_program_that_a_signal_ends_is_false_and_the_signal_is_named(tmp_path: Path) -> None:
    task = make("shell_script", tmp_path)
    assert task.run("sh", ["-c", "kill -SEGV $$"]) is False
    assert task.logger.records == [("error", "the program failed", {"signal": "SIGSEGV"})]


def test_other_statuses_can_count_as_success(tmp_path: Path) -> None:
    assert make("shell_script", tmp_path).run("sh", ["-c", "exit 3"], success_codes=[0, 3]) is True


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (None, []),
        ("", []),
        ("-a", ["-a"]),
        ("*.py", ["*.py"]),
        ("-la /tmp", ["-la", "/tmp"]),
        ("'two words' $HOME ; ls", ["two words", "$HOME", ";", "ls"]),
        (["two words", "*.py", "", "a;b"], ["two words", "*.py", "", "a;b"]),
    ],
)
def test_arguments_reach_the_program_as_they_stand(
    arguments: str | list[str] | None, seen: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here.py").touch()
    code = "import sys; print(sys.argv[1:])"
    words = ["-c", code, *arguments] if isinstance(arguments, list) else f'-c "{code}" {arguments or ""}'
    assert make("shell_script", tmp_path).run(sys.executable, words, working_directory=tmp_path) is True
    assert capfd.readouterr().out == f"{seen}\n"


def test_what_is_printed_goes_to_the_steps_own_output_and_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make("shell_script", tmp_path).run("echo out; echo err >&2", shell=True)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_the_shell_reads_a_line_only_where_it_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    task = make("shell_script", tmp_path)
    task.run("echo", "$HOME | cat")
    task.run('echo "$1" | tr a-z A-Z', ["$(quoted; safe)"], shell=True)
    assert capfd.readouterr().out == "$HOME | cat\n$(QUOTED; SAFE)\n"


def test_the_environment_and_the_folder_can_be_set(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make("shell_script", tmp_path).run(
        'echo "$COLOUR $PWD"', shell=True, environment={"COLOUR": "blue"}, working_directory=tmp_path
    )
    assert capfd.readouterr().out == f"blue {tmp_path}\n"


def test_lines_written_to_the_outputs_file_are_handed_on(tmp_path: Path) -> None:
    script = r'printf "file=/tmp/a=b.txt\n\nrow-count=7\n" >> "$TASKER_OUTPUTS"'
    assert make("shell_script", tmp_path).run(script, shell=True) == {"file": "/tmp/a=b.txt", "row-count": "7"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["echo no-equals-sign", "printf '%02000000d' 0"])
def test_an_outputs_file_that_cannot_be_read_fails_the_step_and_is_not_repeated(script: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="TASKER_OUTPUTS") as caught:
        make("shell_script", tmp_path).run(f'{script} >> "$TASKER_OUTPUTS"', shell=True)
    assert "no-equals-sign" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "script",
    [
        'mkfifo "$TASKER_OUTPUTS"',
        'mkdir "$TASKER_OUTPUTS"; touch "$TASKER_OUTPUTS/x"',
        'ln -s missing "$TASKER_OUTPUTS"',
        'ln -s /etc/passwd "$TASKER_OUTPUTS"',
    ],
)
def test_what_is_no_file_is_not_read_as_one(script: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"something else than a file at \$TASKER_OUTPUTS"):
        make("shell_script", tmp_path).run(script, shell=True)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_are_no_text_fail_the_step_in_our_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\$TASKER_OUTPUTS is not UTF-8"):
        make("shell_script", tmp_path).run(r'printf "a=\377\n" > "$TASKER_OUTPUTS"', shell=True)


@pytest.mark.parametrize(
    ("command", "error", "says"),
    [
        ("no-such-program", FileNotFoundError, "no program is named 'no-such-program' in PATH"),
        ("uname -a", FileNotFoundError, "put what follows the name into `arguments`"),
        ("./missing.sh", FileNotFoundError, "there is no program at './missing.sh'"),
        ("/etc/passwd", OSError, "cannot be started: Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started_says_why(
    command: str, error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says.replace("`", ".")):
        make("shell_script", tmp_path).run(command)


def test_a_missing_folder_and_an_open_quote_are_named(tmp_path: Path) -> None:
    task = make("shell_script", tmp_path)
    with pytest.raises(NotADirectoryError, match="working_directory is not a folder"):
        task.run("true", working_directory=tmp_path / "missing")
    with pytest.raises(ValueError, match="write them as a list"):
        task.run("echo", "it's")

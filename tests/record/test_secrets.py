"""Credentials are not written down with a recording."""

from __future__ import annotations

import sys

import pytest

from dimos_record.record.provenance import describe_session
from dimos_record.record.secrets import (
    argv_without_secrets,
    is_secret,
    settings_without_secrets,
)


@pytest.mark.parametrize(
    "name",
    ["api_key", "openai-api-key", "--x.password", "OPENAI_API_KEY", "openaiApiKey", "HF_TOKEN",
     "client_secret_id", "agent.access-token"],
)  # fmt: skip
def test_credentials_are_told_by_their_names(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["key", "--keep", "keyboard", "passed", "secretary.name", "pass"])
def test_other_names_are_no_credentials(name: str) -> None:
    assert not is_secret(name)


def test_settings_lose_their_credentials_at_any_depth() -> None:
    settings = {
        "model": "large",
        "api_key": "sk-1",
        "camera": {"Password": "sk-2", "fps": 30},
        "clients": [{"auth_token": "sk-3", "name": "me"}, ["a", {"my_secret": "sk-4"}]],
    }
    assert settings_without_secrets(settings) == {
        "model": "large",
        "camera": {"fps": 30},
        "clients": [{"name": "me"}, ["a", {}]],
    }


def test_a_command_line_loses_its_credentials() -> None:
    given = ["dimos", "--openai-api-key", "sk-1", "run", "go2", "--x.password=sk-2", "--x.speed=1"]
    more = ["--use-token", "--api-key", "sk-3", "API_KEY=sk-4", "token", "walk.db"]
    assert argv_without_secrets([*given, *more]) == [
        "dimos", "--openai-api-key", "***", "run", "go2", "--x.password=***", "--x.speed=1",
        "--use-token", "***", "***", "API_KEY=***", "token", "walk.db",
    ]  # fmt: skip


def test_a_session_says_its_command_line_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["robot.py", "--openai-api-key", "sk-1", "walk.db"])
    assert describe_session("", "")["argv"] == ["robot.py", "--openai-api-key", "***", "walk.db"]

"""Secrets are left out of the record, and nothing else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import ExperimentManager, UsageError, experiment
from runbook.config.redaction import (
    REDACTED,
    is_secret_name,
    redact,
    redact_arguments,
    redact_text,
    without_credentials,
)

SECRET_NAMES = """
api_key apikey apiKey API_KEY openai_api_key OPENAI_API_KEY wandb_api_key token access_token accessToken auth_token hub_token
HF_TOKEN hf_token github_token password passwd db_password userPassword pwd secret client_secret clientSecret secret_key
aws_secret_access_key private_key ssh_key credentials authorization bearer connection_string dsn passphrase api-key --api-key
auth openai_key refresh_token
""".split()
HARMLESS_NAMES = """
max_tokens num_tokens tokens tokenizer tokenizer_name token_type_ids pad_token eos_token bos_token unk_token mask_token
sep_token cls_token additional_special_tokens pad_token_id token_dropout max_new_tokens tokens_per_second key keys key_dim
num_key_value_heads primary_key sort_key secretary password_length author authors compass learning_rate passes bearing
dataset monkey keyboard_layout access public_key_path private_key_path hidden_size lr user_token image_token_index
""".split()
SECRETS = [
    "sk-proj-abcdefghijklmnop1234",
    "sk-ant-api03-abcdefghijklmnop",
    "hf_abcdefghijklmnopqrstuvwx",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl",
    "glpat-abcdefghijklmnopqrst",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefghij",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
]
HARMLESS = [
    "sk-learn",
    "hf_model",
    "distilbert-base-uncased",
    "https://huggingface.co/x/y?a=b@c",
    "s3://bucket/key",
    "me@example.org",
    "git@github.com:a/b.git",
    "a: b@c",
    "http://localhost:8080/a",
    "/data/AKIA/x",
    "ghp_short",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_setting_named_like_a_secret_is_redacted(name):
    """The words of a name decide whether it is secret, however they are joined."""
    assert is_secret_name(name)
    assert redact({"a": [{name: "hunter2"}], name: ["x", "y"]}) == {"a": [{name: REDACTED}], name: [REDACTED] * 2}


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_a_setting_that_only_sounds_like_a_secret_stays(name):
    """A harmless name is not redacted: a setting that is lost cannot be repeated."""
    assert not is_secret_name(name)
    assert redact({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "value", [None, True, 0, 128, 0.5, "", "${API_KEY}", "$API_KEY", "env:API_KEY", "none", "True"]
)
def test_what_holds_no_secret_stays_under_any_name(value):
    """Switches, counts and references to a secret elsewhere are kept under a secret name."""
    assert redact({"token": value}) == {"token": value}


@pytest.mark.parametrize("secret", SECRETS)
def test_a_value_shaped_like_a_secret_is_redacted_anywhere(secret):
    """A secret is recognised under a harmless name, in a list and in the middle of a text."""
    text = json.dumps(redact({"note": f"use {secret} for it", "items": [{"x": secret}]}))
    assert secret.split("\n")[0] not in text
    assert text.count(REDACTED) == 2
    assert redact_text(f"use {secret}, please").startswith("use <redacted>")


@pytest.mark.parametrize("value", HARMLESS)
def test_an_ordinary_value_stays(value):
    """Model names, addresses and paths are no secrets."""
    assert redact({"note": value}) == {"note": value}


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("postgresql://me:pw@db/x", "postgresql://<redacted>@db/x"),
        ("https://TOKEN@github.com/a", "https://<redacted>@github.com/a"),
        ("ssh://git:pw@host/x", "ssh://git@host/x"),
        ("see https://a:b@c and http://d", "see https://<redacted>@c and http://d"),
    ],
)
def test_an_address_loses_its_credentials(address, kept):
    """Only the password of an address is redacted; the rest tells where the data came from."""
    assert redact_text(address) == kept


def test_bytes_under_a_secret_name_are_redacted_in_their_recorded_form():
    """Secret bytes are redacted, because their repr would show them."""
    assert redact({"password": {"__repr__": "b'pw'"}}) == {"password": {"__repr__": REDACTED}}


def test_a_command_line_loses_its_secrets():
    """A secret on the command line is redacted in each form of an option."""
    line = ["train.py", "--api-key", "abc", "--token=abc", "model.hub_token=abc", "+x.password=p", "--lr", "0.1"]
    line += ["--max-tokens", "128", "--password", "--verbose", "API_KEY=x", "hf_abcdefghijklmnopqrstuvwx"]
    assert redact_arguments(line) == (
        *("train.py", "--api-key", REDACTED, f"--token={REDACTED}", f"model.hub_token={REDACTED}"),
        *(f"+x.password={REDACTED}", "--lr", "0.1", "--max-tokens", "128", "--password", "--verbose"),
        *(f"API_KEY={REDACTED}", REDACTED),
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc xyz-_.:/@09", max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(HARMLESS_NAMES), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_data_without_secrets_comes_back_equal_and_twice_is_once(data):
    """Redaction changes nothing else, and a redacted record can be redacted again."""
    once = redact(data)
    assert redact(once) == once
    if "://" not in json.dumps(data):
        assert once == data


@pytest.mark.parametrize(
    "text", ["sk-" * 300_000, "a://" * 200_000, "://" + "u:" * 400_000, "-----BEGIN " * 50_000, "eyJ" * 300_000]
)
def test_a_long_text_is_no_way_to_stop_a_training(text):
    """The patterns stay fast on texts made to slow them down."""
    assert isinstance(redact_text(text), str)


def test_the_record_and_its_hash_are_without_the_secret(base):
    """A secret is in none of the files; the config object keeps it."""
    config = {"lr": 0.1, "hub_token": "hunter2", "nested": {"url": "https://me:hunter2@host/x"}}
    with experiment(config, base_dir=base) as exp:
        assert exp.config["hub_token"] == "hunter2"
    with experiment({**config, "hub_token": "other"}, base_dir=base) as other:
        pass
    # The patch holds this very file while somebody is changing it.
    files = [path for path in base.rglob("*") if path.is_file() and path.name != "uncommitted.patch"]
    everything = b"".join(path.read_bytes() for path in files)
    assert b"hunter2" not in everything
    assert exp.id[-8:] == other.id[-8:]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://user:token@host/x", "https://host/x"),
        ("https://token@host:8443/x.git", "https://host:8443/x.git"),
        ("https://user:p@ss@host/x", "https://host/x"),
        ("https://host/x?private_token=abc", "https://host/x"),
        ("https://host/@scope/x", "https://host/@scope/x"),
        ("ssh://git:pw@host:22/x", "ssh://git@host:22/x"),
        ("ssh://git@host:22/x", "ssh://git@host:22/x"),
        ("git@host:team/x.git", "git@host:team/x.git"),
        ("/srv/git/x@y.git", "/srv/git/x@y.git"),
        ("file:///srv/x.git", "file:///srv/x.git"),
    ],
)
def test_without_credentials(address, expected):
    """Users and passwords are removed from addresses, and nothing else is."""
    assert without_credentials(address) == expected


def test_off_records_everything_and_a_function_decides_for_itself(base):
    """`redact` can be switched off, or be a function that decides."""
    config = {"lr": 0.1, "token": "hunter2", "path": "/home/me"}
    with experiment(config, base_dir=base, name="off", redact="off"):
        pass
    with experiment(config, base_dir=base, name="own", redact=lambda config: {"lr": config["lr"]}):
        pass
    manager = ExperimentManager(base)
    assert manager.get_experiment("off").config == config
    assert manager.get_experiment("own").config == {"lr": 0.1}


def test_an_unknown_word_and_a_function_that_gives_no_mapping_are_refused(base):
    """A wrong `redact` is refused before anything is made."""
    with pytest.raises(UsageError, match="'secrets', 'off'"):
        experiment({}, redact="on", base_dir=base)
    with pytest.raises(UsageError, match="must give the mapping"):
        experiment({}, redact=lambda _: None, base_dir=base)
    assert not base.exists()

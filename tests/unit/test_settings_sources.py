"""Where settings come from: defaults, the site's file, files that hold secrets, the environment."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pipeline.errors import SettingsFault
from pipeline.settings import load, warn_unknown
from tests.harness.keys import b64, private_key_text
from tests.harness.secret_files import write_secret

SECRET = "hunter2"


def with_file(folder: Path, text: str, **environment: str) -> dict[str, str]:
    file = folder / "site.yaml"
    write_secret(file, text)
    return {"JARVICE_DOWNSTREAM_CONFIG": str(file), **environment}


def faults_of(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsFault) as fault:
        load(environment)
    return "\n".join(fault.value.faults)


def test_the_environment_overrides_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    text = "images_tag: from-file\nsystem_registry: from-file\n"
    settings = load(with_file(tmp_path, text, JARVICE_IMAGES_TAG="from-environment"))
    assert settings.images_tag == "from-environment"
    assert settings.system_registry == "from-file"
    assert settings.system_repo_base == "jarvice-system/images"


def test_an_empty_variable_is_an_absent_one(tmp_path: Path) -> None:
    """Start scripts export empty defaults."""
    settings = load(with_file(tmp_path, "images_tag: from-file\n", JARVICE_IMAGES_TAG="", WAITRESS_PORT=""))
    assert (settings.images_tag, settings.port) == ("from-file", 5000)


def test_a_file_may_use_yamls_own_kinds(tmp_path: Path) -> None:
    text = (
        "port: 8080\npoll_interval: 2\nsingularity_verbose: yes\nloglevel: DEBUG\nimages_tag: 1.25\n"
        "job_global_registries: [ghcr.io, quay.io]\nlocal_registry:\n"
    )
    settings = load(with_file(tmp_path, text))
    assert (settings.port, settings.poll_interval, settings.singularity_verbose) == (8080, 2.0, True)
    assert (settings.loglevel, settings.images_tag) == (logging.DEBUG, "1.25")
    assert settings.job_global_registries == ("ghcr.io", "quay.io")
    assert settings.local_registry == ""


@pytest.mark.parametrize(
    "line", ["port: [1]", "port: true", "images_tag: {a: 1}", "slurm_ssh_user: [a]", "loglevel: true",
             "job_global_registries: [[a]]", "singularity_verbose: 2", "state_dir: [x]", "state_dir: ''",
             "users_id_mapping: ''"]
)  # fmt: skip
def test_a_wrong_kind_in_a_file_is_told_with_file_and_key(tmp_path: Path, line: str) -> None:
    assert faults_of(with_file(tmp_path, line)).startswith(
        f"{tmp_path / 'site.yaml'}: {line.split(':')[0]}: "
    )


def test_an_unknown_key_is_a_fault_with_a_suggestion(tmp_path: Path) -> None:
    told = faults_of(with_file(tmp_path, "slurm_cluster_address: x\nzzz: 1\n5: 6\n"))
    assert "slurm_cluster_address is not a key; did you mean slurm_cluster_addr?" in told
    assert "zzz is not a key\n" in told
    told = faults_of(with_file(tmp_path, "JARVICE_SLURM_CLUSTER_PORT: 5\n"))
    assert told.endswith("JARVICE_SLURM_CLUSTER_PORT is not a key; did you mean slurm_cluster_port?")


@pytest.mark.parametrize("text", ["- a list\n", "just text\n", "5\n"])
def test_a_file_that_is_no_mapping_is_a_fault(tmp_path: Path, text: str) -> None:
    assert "is not a mapping of settings to values" in faults_of(with_file(tmp_path, text))


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    told = faults_of({"JARVICE_DOWNSTREAM_CONFIG": str(tmp_path / "none.yaml")})
    assert (
        told == f"JARVICE_DOWNSTREAM_CONFIG: {tmp_path}/none.yaml: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"server_key: user:{SECRET}\n  bad: indent\n",
        f'docker_password: "{SECRET}\n',
        f"server_key: {{user: {SECRET}\n",
        f"? [{SECRET}]\n: x\n",
        f"server_key: !{SECRET} x\n",
        f"server_key: *{SECRET}\n",
    ],
)
def test_a_file_that_is_no_yaml_is_told_by_its_line_and_not_by_its_text(tmp_path: Path, text: str) -> None:
    told = faults_of(with_file(tmp_path, text))
    assert "is not YAML at line " in told
    assert SECRET not in told


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load(with_file(tmp_path, "# nothing\n")) == load({})


def test_a_variable_may_name_a_file_that_holds_the_value(tmp_path: Path) -> None:
    key = private_key_text()
    write_secret(tmp_path / "key", key)
    write_secret(tmp_path / "login", "user:pass word\n")
    settings = load(
        {
            "JARVICE_SLURM_SSH_PKEY_FILE": str(tmp_path / "key"),
            "JARVICE_SCHED_SERVER_KEY_FILE": str(tmp_path / "login"),
        }
    )
    assert (settings.slurm_ssh_pkey, settings.server_key) == (key, "user:pass word")


def test_both_a_variable_and_its_file_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a", encoding="ascii")
    told = faults_of({"JARVICE_IMAGES_TAG": "b", "JARVICE_IMAGES_TAG_FILE": str(tmp_path / "x")})
    assert told == "JARVICE_IMAGES_TAG and JARVICE_IMAGES_TAG_FILE are both set; unset one"


def test_a_value_from_a_file_that_is_wrong_names_the_variable_of_the_file(tmp_path: Path) -> None:
    write_secret(tmp_path / "x", SECRET)
    told = faults_of({"JARVICE_SLURM_SSH_PKEY_FILE": str(tmp_path / "x")})
    assert told.startswith(f"JARVICE_SLURM_SSH_PKEY_FILE: {tmp_path / 'x'}: the value is not a private key")
    assert SECRET not in told


def test_a_secrets_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    write_secret(tmp_path / "binary", "").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "binary"):
        told = faults_of({"JARVICE_SLURM_SSH_PKEY_FILE": str(path)})
        assert told.startswith("JARVICE_SLURM_SSH_PKEY_FILE: ")
        assert told.count(str(path)) == 1


def test_a_service_token_may_come_from_a_variable_the_sites_file_or_a_file_that_is_renewed(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    write_secret(file, "SLURM_JWT=first\n")
    for environment in (
        {"JARVICE_SLURM_SERVICE_TOKEN": "first"},
        with_file(tmp_path, "slurm_service_token: SLURM_JWT=first\n"),
        {"JARVICE_SLURM_SERVICE_TOKEN_FILE": str(file)},
    ):
        token = load(environment).slurm_service_token
        assert token
        assert token.current() == "first"
    file.write_text("second\n")
    assert token
    assert token.current() == "second"


def test_a_file_that_holds_no_token_is_a_fault_that_does_not_show_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    write_secret(file, f"{SECRET} {SECRET}")
    told = faults_of({"JARVICE_SLURM_SERVICE_TOKEN_FILE": str(file)})
    assert told == (f"JARVICE_SLURM_SERVICE_TOKEN_FILE: what {file} holds is not a token without blanks")
    told = faults_of({"JARVICE_SLURM_SERVICE_TOKEN_FILE": str(tmp_path / "none")})
    assert told == (
        f"JARVICE_SLURM_SERVICE_TOKEN_FILE: cannot read {tmp_path}/none: No such file or directory"
    )
    both = {"JARVICE_SLURM_SERVICE_TOKEN": "a", "JARVICE_SLURM_SERVICE_TOKEN_FILE": str(file)}
    assert faults_of(both).endswith("are both set; unset one")


def test_a_folder_of_templates_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    told = faults_of({"JARVICE_DOWNSTREAM_TEMPLATES": str(tmp_path / "none")})
    assert told.startswith("JARVICE_DOWNSTREAM_TEMPLATES: ")


def test_a_variable_that_is_no_setting_is_warned_of_with_the_nearest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ("JARVICE_SLURM_CLUSTER_ADRR", "PATH", "JARVICE_IMAGES_TAG", "WAITRESS_BIND_ADRESS")
    warn_unknown(dict.fromkeys(names, "x"))
    assert [record.getMessage() for record in caplog.records] == [
        "JARVICE_SLURM_CLUSTER_ADRR is not a setting; did you mean JARVICE_SLURM_CLUSTER_ADDR?",
        "WAITRESS_BIND_ADRESS is not a setting; did you mean WAITRESS_BIND_ADDRESS?",
    ]


def test_base64_of_a_key_may_come_from_a_file_with_line_breaks(tmp_path: Path) -> None:
    key = private_key_text("rsa")
    encoded = b64(key)
    lines = [encoded[place : place + 64] for place in range(0, len(encoded), 64)]
    write_secret(tmp_path / "key", "\n".join(lines) + "\n")
    assert load({"JARVICE_SLURM_SSH_PKEY_FILE": str(tmp_path / "key")}).slurm_ssh_pkey == key


def test_a_secret_that_others_can_read_is_a_fault(tmp_path: Path) -> None:
    login = write_secret(tmp_path / "login", f"user:{SECRET}")
    login.chmod(0o644)
    told = faults_of({"JARVICE_SCHED_SERVER_KEY_FILE": str(login)})
    assert told == (
        f"JARVICE_SCHED_SERVER_KEY_FILE: {login}: others can read it, its mode is 0644: chmod 600 it"
    )
    token = write_secret(tmp_path / "token", SECRET)
    token.chmod(0o640)
    told = faults_of({"JARVICE_SLURM_SERVICE_TOKEN_FILE": str(token)})
    assert told.endswith("its mode is 0640: chmod 600 it")


def test_a_file_of_no_secret_may_have_any_mode(tmp_path: Path) -> None:
    (tmp_path / "tag").write_text("latest-2")
    (tmp_path / "tag").chmod(0o666)
    assert load({"JARVICE_IMAGES_TAG_FILE": str(tmp_path / "tag")}).images_tag == "latest-2"


def test_the_sites_file_is_kept_from_others_when_it_holds_a_secret(tmp_path: Path) -> None:
    environment = with_file(tmp_path, f"server_key: user:{SECRET}\n")
    file = Path(environment["JARVICE_DOWNSTREAM_CONFIG"])
    file.chmod(0o644)
    told = faults_of(environment)
    assert told == f"JARVICE_DOWNSTREAM_CONFIG: {file}: others can read it, its mode is 0644: chmod 600 it"
    file.write_text("server_key: ''\nport: 5001\n")
    assert load(environment).port == 5001

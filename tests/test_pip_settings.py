"""Reading pip's configuration, and saying it in uv's words."""

import os
import shutil
import subprocess
import sys

import pytest

from ftbench.pip_settings import PipSettings, read_pip_settings, uv_environment

CONF = """
[global]
index-url = https://mirror.example/simple
find-links =
    /wheels/one
    https://wheels.example/
[install]
extra-index-url = https://a.example/simple https://b.example/simple
trusted-host = mirror.example
[list]
index-url = https://not-for-install.example
"""


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text(CONF)
    return path


def test_read_pip_settings_reads_lists_and_sections(conf):
    settings = read_pip_settings({"PIP_CONFIG_FILE": str(conf), "HOME": "/nowhere"})
    assert settings.index_url == "https://mirror.example/simple"
    assert settings.find_links == ("/wheels/one", "https://wheels.example/")
    assert settings.extra_index_url == ("https://a.example/simple", "https://b.example/simple")
    assert settings.trusted_host == ("mirror.example",)


def test_read_pip_settings_lets_variables_win_and_ignores_empty_ones(conf):
    environ = {"PIP_CONFIG_FILE": str(conf), "PIP_INDEX_URL": "https://own.example/simple"}
    settings = read_pip_settings(environ | {"PIP_FIND_LINKS": "", "HOME": "/nowhere"})
    assert settings.index_url == "https://own.example/simple"
    assert settings.find_links == ("/wheels/one", "https://wheels.example/")


def test_read_pip_settings_finds_the_users_file(tmp_path):
    folder = tmp_path / ".config" / "pip"
    folder.mkdir(parents=True)
    (folder / "pip.conf").write_text("[global]\ncert = /ca.pem\n")
    assert read_pip_settings({"HOME": str(tmp_path)}).cert == "/ca.pem"


def test_read_pip_settings_reads_no_file_when_pip_reads_none(tmp_path):
    environ = {"PIP_CONFIG_FILE": os.devnull, "SSL_CERT_FILE": "/ca.pem"}
    assert read_pip_settings(environ) == PipSettings(cert="/ca.pem")


def test_read_pip_settings_agrees_with_pip(conf, tmp_path):
    pip = shutil.which("pip") or ""
    if not pip:
        pytest.skip("there is no pip to compare with")
    environ = {"PIP_CONFIG_FILE": str(conf), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    listed = subprocess.run(
        [pip, "config", "list"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert "global.index-url='https://mirror.example/simple'" in listed
    assert read_pip_settings(environ).index_url == "https://mirror.example/simple"


def test_pip_settings_do_not_print_credentials():
    secret = "https://user:planted@mirror.example/simple"
    settings = PipSettings(index_url=secret, extra_index_url=(secret,), find_links=(secret,))
    assert "planted" not in repr(settings)


def test_uv_environment_translates_and_keeps_uvs_own_settings():
    settings = PipSettings(
        index_url="https://i.example",
        extra_index_url=("https://a.example", "https://b.example"),
        find_links=("/one", "/two"),
        trusted_host=("i.example",),
        cert="/ca.pem",
    )
    assert uv_environment(
        settings, {"PATH": "/bin", "UV_DEFAULT_INDEX": "https://own.example"}
    ) == {
        "PATH": "/bin",
        "UV_DEFAULT_INDEX": "https://own.example",
        "UV_INDEX": "https://a.example https://b.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/one,/two",
        "UV_INSECURE_HOST": "i.example",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_uv_environment_adds_nothing_that_pip_does_not_say():
    assert uv_environment(PipSettings(), {"PATH": sys.prefix}) == {
        "PATH": sys.prefix,
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }

"""The files of deploy/ and the manifests of the guide, as far as that goes without a container."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml
from click.testing import CliRunner
from paths import ROOT

from xcodec2.cli import xcodec2

DEPLOY = ROOT / "deploy"


def check_command(args: list[str]) -> None:
    """Each option is one that the command has."""
    options = CliRunner().invoke(xcodec2, ["serve", "--help"]).output
    assert args[0] == "serve"
    for arg in args:
        assert not arg.startswith("--") or f"{arg} " in options


def test_what_the_containerfile_copies_is_there():
    text = (DEPLOY / "Containerfile").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()), line
    check_command(yaml.safe_load(text.rsplit("CMD ", 1)[1]))


def test_the_compose_file():
    file = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    speech = file["services"]["speech"]
    check_command(speech["command"])
    assert (DEPLOY / speech["build"]["context"] / speech["build"]["dockerfile"]).is_file()
    mounted = {volume.partition(":")[0] for volume in speech["volumes"]}
    assert mounted <= set(file["volumes"])
    assert set(speech["secrets"]) <= set(file["secrets"])
    assert all(port.startswith("127.0.0.1:") for port in speech["ports"])


def test_the_manifests_of_kubernetes():
    text = (ROOT / "docs" / "guides" / "serving-kubernetes.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    deployment, service = yaml.safe_load_all(block)
    pod = deployment["spec"]["template"]
    assert deployment["spec"]["selector"]["matchLabels"] == pod["metadata"]["labels"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    (container,) = pod["spec"]["containers"]
    check_command(container["args"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["containerPort"]


def test_the_unit_of_systemd(tmp_path):
    if not (program := shutil.which("systemd-analyze")):
        pytest.skip("systemd is not installed")
    text = (DEPLOY / "xcodec2.service").read_text()
    (command,) = re.findall("^ExecStart=(.+)$", text, re.MULTILINE)
    check_command(command.split()[1:])
    unit = tmp_path / "xcodec2.service"
    unit.write_text(text.replace(command.split()[0], shutil.which("true") or "/bin/true"))
    found = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")

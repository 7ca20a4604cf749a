"""The container files parse, and install by the Makefile's own steps."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_dockerfile_has_both_targets_and_known_instructions() -> None:
    known = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "ENTRYPOINT"}
    assert {name for name, _ in instructions()} <= known
    targets = [rest.split(" AS ")[1] for name, rest in instructions() if name == "FROM"]
    assert targets == ["cpu", "cuda"]


def test_every_target_installs_by_make() -> None:
    makefile_targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    called = [
        match for name, rest in instructions() if name == "RUN" for match in re.findall(r"(?:^|&& )make (\w+)", rest)
    ]
    assert called.count("setup") == 2
    assert set(called) <= makefile_targets
    assert "pip install" not in DOCKERFILE


def test_compose_file_refers_to_what_exists() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    assert set(compose["services"]) == {"head", "worker"}
    for service in compose["services"].values():
        build = service["build"]
        assert (ROOT / "docker" / build["context"] / build["dockerfile"]).is_file()
        assert f"AS {build['target']}" in DOCKERFILE
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert set(service["secrets"]) <= set(compose["secrets"])
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["head"]["ports"])

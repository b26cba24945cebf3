"""Check the Dockerfile, and run of it what runs without a container engine.

    python scripts/dockerfile_steps.py [--quick]

In a temporary folder that stands for ``/``: files are copied as COPY says, the RUN steps of the
build stage are run, then the entrypoint with the file's ENV (on 127.0.0.1 and a free port), and
against it the HEALTHCHECK; STOPSIGNAL must end it.  RUN steps that make users are not run: they
would make them here.  ``--quick`` takes the dependencies from the environment that runs this.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START_S, STOP_S = 40.0, 30.0
HOST_ONLY = ("groupadd", "useradd", "apt-get")  # commands that would change this machine


class Wrong(Exception):
    """The Dockerfile is not as it should be; the text says where."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name, and the text behind it on one line."""

    line: int
    name: str
    text: str

    def words(self) -> list[str]:
        """Return the arguments, of the JSON form or of the shell form, without flags."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    def flag(self, name: str) -> str | None:
        """Return the value of ``--name=value``."""
        found = re.search(rf"--{name}=(\S+)", self.text)
        return found[1] if found else None


@dataclass
class Stage:
    """What follows one FROM."""

    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        """Return its instructions of that name."""
        return [each for each in self.instructions if each.name == name]

    def one(self, name: str) -> Instruction:
        """Return its only instruction of that name."""
        found = self.all(name)
        if len(found) != 1:
            raise Wrong(f"the stage from {self.image} has {len(found)} {name}, not one")
        return found[0]


# ---------------------------------------------------------------- reading


def read(text: str) -> list[Stage]:
    """Return the stages; ARGs before the first FROM are filled in with their defaults."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for each in instructions(text):
        if each.name == "FROM":
            image, *name = re.split(r"\s+AS\s+", filled(each.text, arguments), flags=re.IGNORECASE)
            stages.append(Stage(image, name[0] if name else ""))
        elif stages:
            stages[-1].instructions.append(each)
        elif each.name == "ARG":
            name_, _, default = each.text.partition("=")
            arguments[name_] = default
        else:
            raise Wrong(f"line {each.line}: {each.name} before FROM")
    return stages


def instructions(text: str) -> list[Instruction]:
    """Return the instructions, continued lines joined and comments left out."""
    made: list[Instruction] = []
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("#") or (not stripped and not pending):
            continue
        start = start if pending else number
        pending += stripped.removesuffix("\\")
        if stripped.endswith("\\"):
            continue
        name, _, rest = pending.partition(" ")
        made.append(Instruction(start, name.upper(), rest.strip()))
        pending = ""
    return made


def filled(text: str, values: dict[str, str]) -> str:
    """Return the text with ``${NAME}`` replaced."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], text)


def environment(stage: Stage) -> dict[str, str]:
    """Return the variables that ENV sets."""
    pairs = (word.partition("=") for each in stage.all("ENV") for word in shlex.split(each.text))
    return {name: value for name, _, value in pairs}


# ---------------------------------------------------------------- checks


def check(stages: list[Stage]) -> None:
    """Raise ``Wrong`` for what no run would show."""
    if len(stages) < 2:
        raise Wrong("one stage only: what builds would be in the image")
    for stage in stages:
        _, _, tag = stage.image.partition(":")
        if stage.image not in {each.name for each in stages} and tag in ("", "latest"):
            raise Wrong(f"FROM {stage.image} has no fixed tag")
    last = stages[-1]
    user = last.one("USER").text.partition(":")[0]
    if not user.isdigit() or user == "0":
        raise Wrong(f"USER {user}: a number is needed, and not that of root")
    if f"--uid {user}" not in " ".join(each.text for each in last.all("RUN")):
        raise Wrong(f"no RUN makes the user {user}")
    for name in ("HEALTHCHECK", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"):
        last.one(name)
    labels = " ".join(each.text for each in last.all("LABEL"))
    for label in ("title", "description", "licenses", "version", "revision"):
        if f"org.opencontainers.image.{label}=" not in labels:
            raise Wrong(f"no label org.opencontainers.image.{label}")
    check_settings(environment(last), last)


def check_settings(variables: dict[str, str], stage: Stage) -> None:
    """Raise ``Wrong`` for settings that there are not, or that other instructions contradict."""
    sys.path.insert(0, str(ROOT))
    from server.settings import Settings

    for name in variables:
        if name.startswith("TELLONCE_") and name[9:].lower() not in Settings.model_fields:
            raise Wrong(f"ENV {name} is no setting")
    if variables["TELLONCE_DATA"] not in stage.one("VOLUME").words():
        raise Wrong("TELLONCE_DATA is not the VOLUME")
    ports = stage.one("EXPOSE").words()
    for name in ("port", "mllp_port"):
        default = str(Settings.model_fields[name].default)
        if variables.get(f"TELLONCE_{name.upper()}", default) not in (*ports, "none"):
            raise Wrong(f"TELLONCE_{name.upper()} is not among EXPOSE")


def ignored(path: str, patterns: list[str]) -> bool:
    """Tell whether ``.dockerignore`` keeps a file from the engine; the last match counts."""
    found = False
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in patterns:
        wanted = not pattern.startswith("!")
        plain = pattern.lstrip("!").strip("/")
        names = parts if plain.startswith("**/") else above
        if any(_matches(name, plain.removeprefix("**/")) for name in names):
            found = wanted
    return found


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


# ---------------------------------------------------------------- running


class Machine:
    """A folder that stands for ``/`` of the image."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        text = (ROOT / ".dockerignore").read_text().splitlines()
        self.patterns = [line.strip() for line in text if line.strip() and line[0] != "#"]
        self.directory = "/"

    def at(self, path: str) -> Path:
        """Return where a path of the image is."""
        return self.folder / path.lstrip("/")

    def do(self, stage: Stage) -> None:
        """Carry out WORKDIR, COPY and RUN of a stage."""
        variables = environment(stage)
        for each in stage.instructions:
            if each.name == "WORKDIR":
                self.directory = each.text
                self.at(each.text).mkdir(parents=True, exist_ok=True)
            elif each.name == "COPY":
                self.copy(each)
            elif each.name == "RUN":
                self.run(each, variables)

    def copy(self, step: Instruction) -> None:
        """Copy from the repository; between stages nothing moves: they share this folder."""
        *sources, target = step.words()
        if step.flag("from"):
            for source in sources:
                if not self.at(source).exists():
                    raise Wrong(f"line {step.line}: no stage has made {source}")
            return
        for source in sources:
            kept = [path for path in _files(ROOT / source) if not self.is_ignored(path)]
            if not kept:
                raise Wrong(f"line {step.line}: {source} is not there, or .dockerignore names it")
            for path in kept:
                inside = path.relative_to(ROOT / source) if (ROOT / source).is_dir() else path.name
                to = self.at(f"{self.directory}/{target}") / inside
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to)

    def is_ignored(self, path: Path) -> bool:
        """Tell whether ``.dockerignore`` keeps a file of the repository out."""
        return ignored(path.relative_to(ROOT).as_posix(), self.patterns)

    def run(self, step: Instruction, variables: dict[str, str]) -> None:
        """Run a step with the image's folders replaced, unless it would change this machine."""
        if any(command in step.text for command in HOST_ONLY):
            print(f"line {step.line}: not run here: RUN {step.text[:60]}...")
            return
        command = re.sub(r"(?<![\w.])/(?=opt/|wheels)", f"{self.folder}/", step.text)
        if self.quick and "pip install" in command:
            variables = {**variables, "PIP_NO_DEPS": "1"}
        print(f"line {step.line}: RUN {step.text}")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        result = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.at(self.directory),
            env={**os.environ, **variables, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise Wrong(f"line {step.line}: {result.stderr[-2000:]}")
        if self.quick:
            for packages in self.at("/opt/tellonce").glob("lib/*/site-packages"):
                (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def serve(machine: Machine, stage: Stage) -> None:
    """Start the entrypoint, ask the HEALTHCHECK before, while and after it runs."""
    data = machine.at(stage.one("WORKDIR").text)
    data.mkdir(parents=True, exist_ok=True)
    variables = {
        **environment(stage),
        "PATH": f"{machine.at('/opt/tellonce/bin')}:/usr/bin:/bin",
        "HOME": str(data),
        "TELLONCE_HOST": "127.0.0.1",
        "TELLONCE_PORT": str(_free_port()),
        "TELLONCE_DATA": str(data),
    }
    health = json.loads(stage.one("HEALTHCHECK").text.partition("CMD ")[2])

    def healthy() -> bool:
        return _run(health, variables, data).returncode == 0

    if healthy():
        raise Wrong("HEALTHCHECK succeeds without a server")
    before = _listing(machine.at("/opt"))
    command = [*stage.one("ENTRYPOINT").words(), *stage.one("CMD").words()]
    print("ENTRYPOINT", shlex.join(command))
    with (machine.folder / "log").open("w+") as log:
        process = subprocess.Popen(_resolved(command, variables), cwd=data, env=variables,
                                   stdout=log, stderr=subprocess.STDOUT)  # fmt: skip
        try:
            deadline = time.monotonic() + START_S
            while not healthy():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Wrong(f"not healthy: {(machine.folder / 'log').read_text()[-2000:]}")
                time.sleep(0.2)
            process.send_signal(getattr(signal, stage.one("STOPSIGNAL").text))
            if process.wait(STOP_S) != 0:
                raise Wrong(f"STOPSIGNAL ends it with status {process.returncode}")
        finally:
            process.kill()
    if healthy():
        raise Wrong("HEALTHCHECK succeeds when the server has ended")
    if _listing(machine.at("/opt")) != before:
        raise Wrong("the server writes into its own folder: a read-only image would stop it")


def _run(command: list[str], variables: dict[str, str], folder: Path) -> Any:
    return subprocess.run(
        _resolved(command, variables), env=variables, cwd=folder, capture_output=True, check=False
    )


def _resolved(command: list[str], variables: dict[str, str]) -> list[str]:
    found = shutil.which(command[0], path=variables["PATH"])
    if found is None:
        raise Wrong(f"{command[0]} is not in the image")
    return [found, *command[1:]]


def _listing(folder: Path) -> list[tuple[str, int]]:
    return [(str(path), path.stat().st_mtime_ns) for path in _files(folder)]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def main() -> int:
    """Check and run; return the exit status."""
    parser = argparse.ArgumentParser(description="Run the Dockerfile without an engine.")
    parser.add_argument("--quick", action="store_true", help="install no dependencies anew")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        stages = read((ROOT / "Dockerfile").read_text())
        check(stages)
        with tempfile.TemporaryDirectory() as folder:
            machine = Machine(Path(folder), quick=arguments.quick)
            for stage in stages:
                print(f"FROM {stage.image} {stage.name}")
                machine.do(stage)
            serve(machine, stages[-1])
    except Wrong as wrong:
        print(f"Dockerfile: {wrong}", file=sys.stderr)
        return 1
    print(f"Dockerfile: all that runs here is well, in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

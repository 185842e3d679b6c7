"""The command as a user types it: real processes, single runs, sweeps, signals, quoting."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ftbench import __version__
from ftbench.compose import check_sweep, compose_config, override
from ftbench.config import Config, ModelConf, flatten
from ftbench.errors import ConfigError
from ftbench.paths import conf_dir
from ftbench.run import evaluate
from tests.checkpoint.folders import make_adapter, make_base

ROOT = Path(__file__).parents[1]

# Stands in for the program of an evaluation: it sleeps until it is told to stop.
SLEEPING_RUNTIME = """
import ftbench.run as run
from ftbench.process import run_process

class Sleeping:
    check = lambda self, plan: []
    def launch(self, plan, on_line):
        argv = ["sh", "-c", "echo evaluating; exec sleep 60"]
        log = plan.files.launch_log
        run_process(argv, env={}, cwd=plan.run_dir, log=log, on_line=on_line)

run.make_runtime = lambda plan, host: Sleeping()
run.main()
"""

# Runs every job in a process of its own, as the joblib and Slurm launchers do: what a job returns
# or raises comes back pickled, what it changed in memory does not.
FORKING_LAUNCHER = """
import os, pickle
import hydra.core.utils as utils
import ftbench.run as run

run_here = utils.run_job

def run_job(**job):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        os.write(theirs, pickle.dumps(run_here(**job)))
        os._exit(0)
    return pickle.loads(os.read(ours, 65536))

utils.run_job = run_job
run.main()
"""


class Shell:
    """A folder with two adapters of one base, with which commands are run."""

    def __init__(self, folder: Path) -> None:
        base = make_base(folder / "base")
        for name in ("one", "two"):
            make_adapter(folder / name, base_model_name_or_path=str(base), use_rslora=name == "two")
        (folder / "data" / "gsm8k").mkdir(parents=True)
        (folder / "data" / "gsm8k" / "test.jsonl").write_text("{}")
        self.folder = folder
        self.cwd = folder / "else where"
        self.cwd.mkdir()

    def start(self, *arguments: str, code: str = "", **variables: str) -> subprocess.Popen[str]:
        command = ["-c", code] if code else ["-m", "ftbench.run"]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder / "home"),
            "FTBENCH_CACHE": str(self.folder / "cache"),
            "COMPASS_DATA_CACHE": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "200",
            **variables,
        }
        return subprocess.Popen(
            [sys.executable, *command, *arguments],
            cwd=self.cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: str = "", **variables: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        process = self.start(*arguments, code=code, **variables)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def adapters(shell: Shell) -> str:
    return f"model.adapter={shell.folder}/one,{shell.folder}/two"


def shown_adapters(out: str) -> list[str]:
    lines = [line for line in out.splitlines() if line.startswith("  adapter: ")]
    return [Path(line.removeprefix("  adapter: ")).name for line in lines]


def sweep_lines(out: str) -> list[str]:
    """What the driver says of the sweep and its jobs."""
    wanted = r"Sweep .*|#\d+ (ok|failed|killed|not started)\b.*"
    return [line for line in out.splitlines() if re.fullmatch(wanted, line)]


def test_help_names_every_option_and_key(shell: Shell) -> None:
    exit_code, out, err = shell.run("--help")
    assert (exit_code, err) == (0, "")
    words = [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line.strip()]
    options = {f"{path.parent.name}={path.stem}" for path in conf_dir().glob("*/*.yaml")}
    assert len(options) > 10
    options |= {"hydra/launcher=parallel", "hydra/launcher=slurm"}
    assert options <= set(words)
    keys = {key for key in flatten(Config(datasets=[]), True) if not key.startswith("suite.")}
    assert keys <= {word.partition("=")[0] for word in words}


def test_version_is_ftbenchs_own(shell: Shell) -> None:
    assert shell.run("--version") == (0, f"ftbench {__version__}\n", "")


def test_hydra_help_explains_hydras_flags(shell: Shell) -> None:
    exit_code, out, _ = shell.run("--hydra-help")
    assert exit_code == 0
    assert "--multirun,-m" in out


def test_cfg_job_prints_the_composed_configuration(shell: Shell) -> None:
    exit_code, out, err = shell.run("--cfg", "job", "suite=quick", "backend.batch_size=3")
    assert (exit_code, err) == (0, "")
    printed = OmegaConf.create(out)
    assert printed.suite == {"name": "quick", "datasets": ["mmlu", "gsm8k"], "per_dataset": {}}
    assert printed.backend.batch_size == 3


@pytest.fixture
def own_options(shell: Shell) -> str:
    """Name of a folder of the user's own options, as seen from where commands are run."""
    for group, text in {
        "model": f"adapter: {shell.folder}/one\n",
        "suite": "name: mine\ndatasets: [boolq, gsm8k]\n",
    }.items():
        (shell.folder / "options" / group).mkdir(parents=True)
        (shell.folder / "options" / group / "mine.yaml").write_text(text)
    return "../options"


def test_config_dir_adds_options_to_a_single_run(shell: Shell, own_options: str) -> None:
    exit_code, out, err = shell.run(
        "--config-dir", own_options, "model=mine", "suite=mine", "dry_run=true"
    )
    assert (exit_code, err) == (0, "")
    assert shown_adapters(out) == ["one"]
    assert "  BENCHMARK_DATASETS=boolq,gsm8k\n" in out
    assert list(shell.cwd.iterdir()) == []


def test_config_dir_adds_options_to_a_sweep(shell: Shell, own_options: str) -> None:
    exit_code, out, err = shell.run(
        "--config-dir", own_options, "-m", "model=mine", "suite=quick,mine", "dry_run=true"
    )
    assert (exit_code, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert [line for line in lines if line.startswith("BENCHMARK_DATASETS")] == [
        "BENCHMARK_DATASETS=mmlu,gsm8k",
        "BENCHMARK_DATASETS=boolq,gsm8k",
    ]


def test_a_sweep_runs_one_job_for_each_adapter(shell: Shell) -> None:
    exit_code, out, err = shell.run("-m", adapters(shell), "datasets=[gsm8k]", "dry_run=true")
    assert (exit_code, err) == (0, "")
    assert shown_adapters(out) == ["one", "two"]
    assert sweep_lines(out)[-3:-1] == [
        "#0 ok: one",
        "#1 ok: two",
    ]
    assert sweep_lines(out)[-1].endswith(": 2 of 2 jobs are complete")


def test_a_failing_job_of_a_sweep_does_not_stop_the_others(shell: Shell) -> None:
    exit_code, out, err = shell.run(
        "-m", adapters(shell), "datasets=[gsm9k],[gsm8k]", "dry_run=true"
    )
    assert exit_code == 102
    assert shown_adapters(out) == ["one", "two"]
    unknown = "datasets: 'gsm9k': OpenCompass 0.5.4 has no dataset of this name"
    assert err.count(unknown) == 2
    assert [line.partition("; did you")[0] for line in sweep_lines(out)[-5:-1]] == [
        f"#0 failed (exit code 2): one · datasets=[gsm9k]: {unknown}",
        "#1 ok: one · datasets=[gsm8k]",
        f"#2 failed (exit code 2): two · datasets=[gsm9k]: {unknown}",
        "#3 ok: two · datasets=[gsm8k]",
    ]
    assert sweep_lines(out)[-1].endswith(": 2 of 4 jobs are complete")


def test_a_sweep_whose_jobs_run_in_other_processes_fails_when_a_job_does(shell: Shell) -> None:
    exit_code, _, err = shell.run(
        "-m", adapters(shell), "datasets=[gsm9k]", "dry_run=true", code=FORKING_LAUNCHER
    )
    assert "Traceback" not in err
    assert exit_code == 102


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_sweep_and_not_just_its_job(shell: Shell, signum: signal.Signals) -> None:
    process = shell.start(
        *("-m", adapters(shell), "datasets=[gsm8k]", "tracking=none", "runtime=local"),
        code=SLEEPING_RUNTIME,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "evaluating\n":
        assert process.poll() is None, process.communicate()
    process.send_signal(signum)
    try:
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    assert "gsm8k: failed: interrupted; the same command goes on\n" in out
    assert out.count("Final Decision: False\n") == 1
    first, second = sweep_lines(out)[-3:-1]
    assert first.startswith("#0 failed (exit code 130)")
    assert second.startswith("#1 not started") and second.endswith("it was never started")
    assert "interrupted; the same command goes on with the sweep\n" in out


def test_ctrl_c_before_the_launch_ends_a_single_run_with_a_sentence(shell: Shell) -> None:
    code = (
        "import ftbench.line as line, ftbench.run as run, signal\n"
        "line.preflight = lambda *args: signal.raise_signal(signal.SIGINT)\n"
        "run.main()"
    )
    arguments = (f"model.adapter={shell.folder}/one", "datasets=[gsm8k]", "runtime=local")
    exit_code, out, err = shell.run(*arguments, "tracking=none", code=code)
    assert (exit_code, err) == (130, "")
    (said,) = out.splitlines()
    assert said.startswith("interrupted; what is finished is kept. To go on: ")
    assert said.endswith(shlex.join([*arguments, "tracking=none"]))


def test_check_sweep_finds_every_override_that_no_job_could_use() -> None:
    with pytest.raises(ConfigError) as caught:
        check_sweep(["model.adaptor=a,b", "suite=quik,core", "limit=1,2", "timeout=choice(x,3)"])
    assert [problem.tried for problem in caught.value.problems] == [
        "model.adaptor=a",
        "suite=quik",
        "timeout=x",
    ]


def test_check_sweep_accepts_what_only_its_jobs_complete() -> None:
    check_sweep(["model.adapter=a,b", "backend=glob(*)", "limit=range(1,4)", "hydra.job.name=x"])


def test_check_sweep_refuses_a_glob_that_would_run_nothing() -> None:
    with pytest.raises(ConfigError) as caught:
        check_sweep(["model.adapter=glob(runs/*)", "datasets=[mmlu]"])
    assert str(caught.value.problems[0]) == (
        "model.adapter=glob(runs/*): glob(...) finds options of a group such as suite, "
        "and no folders\n  try: model.adapter=VALUE1,VALUE2"
    )


AWKWARD = st.text(st.sampled_from("ab\"'\\,=${}[]() \n:*~é漢"), max_size=12) | st.text(max_size=8)


@given(AWKWARD.filter(lambda text: text != "???"))  # OmegaConf's mark of a missing value
@example("\\${a}")
@example("back\\\n")
@example('\\"${x}\\')
def test_override_sets_exactly_the_text(text: str) -> None:
    parser = OverridesParser.create()
    once = parser.parse_override(override("adapter", text))
    # A sweep takes each override apart and writes it again for its jobs.
    again = parser.parse_override(f"adapter={once.get_value_element_as_str()}")
    for parsed in (once, again):
        conf = OmegaConf.structured(ModelConf)
        OmegaConf.update(conf, "adapter", parsed.value())
        assert conf.adapter == text


def test_override_reaches_the_configuration() -> None:
    path = "/runs/a=1, 'b' \"c\"/${x}\\{d} é"
    assert compose_config([override("model.adapter", path), "datasets=[mmlu]"]).model.adapter == (
        path
    )


def test_a_password_in_the_tracking_uri_goes_no_further(shell: Shell) -> None:
    exit_code, out, err = shell.run(
        "-m",
        adapters(shell),
        "datasets=[gsm8k]",
        "tracking.uri=http://ada:pl4nted-s3cret@127.0.0.1:1",
        "dry_run=true",
    )
    assert (exit_code, err) == (0, "")
    assert "  mlflow: http://127.0.0.1:1\n" in out
    assert "pl4nted-s3cret" not in out
    written = [path for path in shell.cwd.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"pl4nted-s3cret" in path.read_bytes()]


def test_evaluate_hands_the_uris_password_to_mlflow(
    monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(shell.cwd)
    uri = "http://ada:pl4nted-s3cret@127.0.0.1:1"
    overrides = ["datasets=[gsm8k]", override("tracking.uri", uri), "dry_run=true"]
    evaluate(compose_config([override("model.adapter", shell.folder / "one"), *overrides]))
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ada"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "pl4nted-s3cret"

"""A real Slurm of one node with two GPUs that are none, in a folder, as any user.

    python -m tests.slurm.cluster FOLDER        prints what to export, and runs until Ctrl-C

Needs Debian's packages slurm-wlm and munge (Slurm 22.05). Nothing of the machine's own Slurm is
read or written. Its accounting is a small ``sacct`` that asks the controller: without any, submitit
waits for ever for a job that was killed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.browser import free_port

PROGRAMS = ("munged", "munge", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo")

_SLURM_CONF = """\
ClusterName=ftbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# No cgroups, and more processors than there may be: what waits takes none.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
GresTypes=gpu
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 Gres=gpu:fake:2
PartitionName=tests Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

# A count alone leaves the node invalid: Slurm wants device files (22.05).
_GRES_CONF = """\
AutoDetect=off
NodeName={host} Name=gpu Type=fake File={folder}/nvidia[0-1]
"""

_SACCT = """\
#!/bin/sh
# Answers "sacct -o JobID,State,NodeList --parsable2 -j ID ..." for every job that is known.
echo "JobID|State|NodeList"
number='([0-9]+)' state='.* JobState=([A-Z_]+) .*$'
scontrol -o show job | sed -nE \\
  -e "s/^JobId=$number ArrayJobId=$number ArrayTaskId=$number $state/\\2_\\3|\\4|/p" \\
  -e "s/^JobId=$number JobName=$state/\\1|\\2|/p"
"""


def missing_programs() -> list[str]:
    """Programs of Slurm and munge that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Runs the cluster.

    Args:
        folder: For everything that it writes; its path has less than 80 characters.

    Yields:
        The environment of its users.
    """
    _write_files(folder)
    (folder / "bin").mkdir()
    _script(folder / "bin" / "sacct", _SACCT)
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{folder / 'bin'}:{_path()}",
    }
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket"]
    munge += [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "seed", "log")]
    with ExitStack() as stack:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-c"]):
            with (folder / "daemons.log").open("ab") as log:
                daemon = subprocess.Popen(
                    command, env=environment, stdout=log, stderr=log, start_new_session=True
                )
            stack.callback(_end, daemon)
            if command is munge:
                _wait(folder, ["munge", f"--socket={folder}/munge.socket", "-n"], environment)
        _wait(folder, ["sinfo", "--noheader", "--states=idle", "-o", "%N"], environment)
        try:
            yield environment
        finally:
            subprocess.run(["scancel", "--full", "--user", getpass.getuser()], env=environment)


def _write_files(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    for number in (0, 1):
        (folder / f"nvidia{number}").symlink_to("/dev/null")
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    values = {
        "folder": folder,
        "host": socket.gethostname().partition(".")[0],
        "user": getpass.getuser(),
        "controller_port": free_port(),
        "node_port": free_port(),
    }
    (folder / "slurm.conf").write_text(_SLURM_CONF.format(**values))
    (folder / "gres.conf").write_text(_GRES_CONF.format(**values))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _path() -> str:
    # Debian has the daemons where only root looks for programs.
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _wait(folder: Path, command: list[str], environment: dict[str, str]) -> None:
    """Waits until a command says something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip():
            return
        time.sleep(0.1)
    logs = "\n".join(p.read_text(errors="replace") for p in sorted(folder.glob("*.log")))
    raise RuntimeError(f"{command} says nothing: {done.stderr}\n{logs}")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


if __name__ == "__main__":
    here = Path(sys.argv[1]).absolute()
    here.mkdir(parents=True)
    with slurm(here) as users:
        print(f"export SLURM_CONF={users['SLURM_CONF']} PATH={here / 'bin'}:$PATH", flush=True)
        try:
            time.sleep(86_400)
        except KeyboardInterrupt:
            print("ending it")

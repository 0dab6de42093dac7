"""What the test cluster's daemons and clients read."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

CLIENTS = (
    "sbatch",
    "srun",
    "salloc",
    "scancel",
    "squeue",
    "sacct",
    "scontrol",
    "sinfo",
    "sacctmgr",
    "sshare",
)
PROGRAMS = "/usr/bin:/usr/sbin"  # not PATH, where another test cluster may come first

SLURM_CONF = """\
ClusterName=opnorm
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits until its old credential has expired: 120 s by default.
AuthInfo=socket={here}/munge.socket,cred_expire=5
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
# With MUNGE this is not a password but the socket.
AccountingStoragePass={here}/munge.socket
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment

SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
{controller_parameters}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=250
EnforcePartLimits=ALL
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
OverTimeLimit=0
KillWait=5
MinJobAge={min_job_age}
InactiveLimit=0
CompleteWait=0
MessageTimeout=10
SlurmctldTimeout=10
SlurmdTimeout=10
UnkillableStepTimeout=30
ReturnToService=2

GresTypes=gpu
# The scheduler hands out eight CPUs and 16 GB, whatever the machine has.
SlurmdParameters=config_overrides
NodeName={node} NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=DEFAULT Nodes={node} MaxTime=60 DefaultTime=5
PartitionName=low Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace_seconds}
PartitionName=cancel PriorityTier=1 PreemptMode=CANCEL GraceTime=20
PartitionName=high PriorityTier=10 PreemptMode=OFF
"""

SLURMDBD_CONF = """\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
PidFile={here}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=opnorm
"""

GRES_CONF = """\
AutoDetect=off
Name=gpu File={here}/gpu[0-1]
"""

CLIENT = """\
#!/bin/bash
printf '%s %s\\n' "$EPOCHREALTIME" "{client} ${{*@Q}}" >> '{here}/calls.log'
SLURM_CONF='{here}/slurm.conf' exec {program} "$@"
"""


def write(
    here: Path,
    *,
    node: str,
    ports: Mapping[str, int],
    grace_seconds: int,
    user_signal: bool,
    min_job_age: int,
) -> None:
    """Fill the cluster's directory with all that is there before the daemons, save the database."""
    for name in ("bin", "log", "output", "spool", "state"):
        (here / name).mkdir()
    for gpu in ("gpu0", "gpu1"):
        os.mknod(here / gpu, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    values = {"here": here, "node": node, "grace_seconds": grace_seconds, "min_job_age": min_job_age, **ports}
    values["controller_parameters"] = "SlurmctldParameters=preempt_send_user_signal" if user_signal else ""
    (here / "slurm.conf").write_text(SLURM_CONF.format_map(values))
    (here / "gres.conf").write_text(GRES_CONF.format_map(values))
    _write_private(here / "slurmdbd.conf", SLURMDBD_CONF.format_map(values).encode())
    _write_private(here / "munge.key", secrets.token_bytes(1024))
    for client in CLIENTS:
        script = here / "bin" / client
        script.write_text(CLIENT.format(here=here, client=client, program=shutil.which(client, path=PROGRAMS)))
        script.chmod(0o755)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)

#!/usr/bin/env bash
# A SLURM of two nodes on this host, to be thrown away. As root, on Debian with slurm-wlm, slurm-client, munge:
#   cluster.sh up FOLDER     its state, logs and configuration go below FOLDER
#   cluster.sh down FOLDER   stop the daemons whose process ids lie there
# /etc/slurm/slurm.conf becomes a link: the job step plugin finds its configuration nowhere else.
set -euo pipefail
action=$1
folder=$(realpath -m "$2")
host=$(hostname -s)

up() {
  mkdir -p "$folder"/{state,spool/n1,spool/n2,log,run}
  chmod 755 "$folder"
  install -d -o munge -g munge -m 755 "$folder/munge"
  head -c 1024 /dev/urandom > "$folder/munge/key"
  chown munge:munge "$folder/munge/key"
  chmod 400 "$folder/munge/key"
  setpriv --reuid munge --regid munge --clear-groups munged --key-file "$folder/munge/key" \
    --socket "$folder/munge/sock" --pid-file "$folder/munge/pid" --log-file "$folder/munge/log" \
    --seed-file "$folder/munge/seed"
  cat > "$folder/slurm.conf" <<CONF
ClusterName=throwaway
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
StateSaveLocation=$folder/state
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmdLogFile=$folder/log/slurmd.%n.log
SlurmdSpoolDir=$folder/spool/%n
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/sock
AccountingStorageType=accounting_storage/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2
ReturnToService=2
MpiDefault=none
MinJobAge=600
MailProg=/bin/true
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP
CONF
  mkdir -p /etc/slurm
  ln -sfn "$folder/slurm.conf" /etc/slurm/slurm.conf
  slurmctld
  slurmd -N n1
  slurmd -N n2
  for _ in $(seq 120); do
    [ "$(sinfo -h -t idle -o %D 2> /dev/null)" = 2 ] && return
    sleep 0.25
  done
  sinfo
  exit 1
}

down() {
  for name in run/slurmd.n1.pid run/slurmd.n2.pid run/slurmctld.pid munge/pid; do
    [ -s "$folder/$name" ] || continue
    pid=$(cat "$folder/$name")
    kill "$pid" 2> /dev/null || true
    for _ in $(seq 40); do
      kill -0 "$pid" 2> /dev/null || break
      sleep 0.25
    done
  done
  rm -f /etc/slurm/slurm.conf
}

"$action"

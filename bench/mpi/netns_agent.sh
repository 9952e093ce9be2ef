#!/bin/sh
# Stands in for ssh: mpirun calls it as AGENT ADDRESS COMMAND..., and a network namespace is the host.
# Each has a host name of its own, by which OpenMPI tells machines apart.
address=$1
shift
exec ip netns exec "lenet-$address" unshare --uts sh -c "hostname lenet-${address##*.}; $*"

#!/bin/sh
# What the image of ovs-cni did when it started.
set -e
cp -f /ovs /host/opt/cni/bin/ovs
# Ends when it is told to, which a first process does not by itself.
trap exit TERM
sleep infinity &
wait

package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// lease is what flanneld writes to its subnet file.
type lease struct {
	networks []string
	subnets  []string
	mtu      uint64
	ipMasq   bool
}

func readSubnetFile(path string) (*lease, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read flannel's subnet file: %w", err)
	}
	defer file.Close()
	lease := &lease{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if err := lease.set(key, value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, key, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(lease.subnets) == 0 || len(lease.networks) == 0 || lease.mtu == 0 {
		return nil, fmt.Errorf("%s lacks FLANNEL_NETWORK, FLANNEL_SUBNET or FLANNEL_MTU", path)
	}
	return lease, nil
}

func (l *lease) set(key, value string) (err error) {
	switch key {
	case "FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK":
		l.networks, err = appendPrefixes(l.networks, value)
	case "FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET":
		l.subnets, err = appendPrefixes(l.subnets, value)
	case "FLANNEL_MTU":
		l.mtu, err = strconv.ParseUint(value, 10, 32)
	case "FLANNEL_IPMASQ":
		l.ipMasq, err = strconv.ParseBool(value)
	}
	return err
}

// appendPrefixes adds comma-separated prefixes without their host bits:
// flannel writes the gateway's address, host-local wants the network's.
func appendPrefixes(prefixes []string, list string) ([]string, error) {
	for _, item := range strings.Split(list, ",") {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix.Masked().String())
	}
	return prefixes, nil
}

// Package gce stands in for the cloud provider: the allocator of node networks asks for its type, and no cloud is here.
package gce

import (
	"errors"
	"net"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/cloudprovider"
)

var errNoCloud = errors.New("built without this cloud")

type GCECloud struct {
	cloudprovider.Interface
}

func (*GCECloud) AliasRanges(types.NodeName) ([]string, error) { return nil, errNoCloud }

func (*GCECloud) AddAliasToInstance(types.NodeName, *net.IPNet) error { return errNoCloud }

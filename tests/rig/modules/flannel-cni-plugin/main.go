// Command flannel stands in for flannel's own CNI plugin, whose releases for
// CNI 1.0 the module proxy does not serve. Like that plugin it reads the
// subnet that flanneld leased for the node, completes the "delegate" part of
// its configuration and hands over to another plugin, by default bridge with
// host-local addresses.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/containernetworking/plugins/pkg/utils/buildversion"
)

const (
	defaultSubnetFile = "/run/flannel/subnet.env"
	defaultDataDir    = "/var/lib/cni/flannel"

	// The CNI specification's code for a STATUS that is not ready.
	errPluginNotAvailable = 50
)

// object is a piece of JSON that is passed on without being understood.
type object = map[string]any

type config struct {
	types.NetConf
	IPAM          object `json:"ipam"`
	SubnetFile    string `json:"subnetFile"`
	DataDir       string `json:"dataDir"`
	Delegate      object `json:"delegate"`
	RuntimeConfig object `json:"runtimeConfig"`
	// As it came, for CHECK and DEL of the delegate.
	PrevResult json.RawMessage `json:"prevResult"`
	// Attachments that are still in use, for GC.
	ValidAttachments []types.GCAttachment `json:"cni.dev/valid-attachments"`
}

func parseConfig(stdin []byte) (*config, error) {
	conf := &config{SubnetFile: defaultSubnetFile, DataDir: defaultDataDir}
	if err := json.Unmarshal(stdin, conf); err != nil {
		return nil, fmt.Errorf("cannot read the network configuration: %w", err)
	}
	return conf, nil
}

// delegateConfig is the complete configuration for the delegate.
func (c *config) delegateConfig() (object, error) {
	for _, key := range []string{"name", "ipam"} {
		if _, found := c.Delegate[key]; found {
			return nil, fmt.Errorf("'delegate' must not have %q: flannel sets it", key)
		}
	}
	lease, err := readSubnetFile(c.SubnetFile)
	if err != nil {
		return nil, err
	}
	conf := object{"type": "bridge", "ipMasq": !lease.ipMasq, "mtu": lease.mtu}
	for key, value := range c.Delegate {
		conf[key] = value
	}
	if _, isString := conf["type"].(string); !isString {
		return nil, errors.New("'type' in 'delegate' must be a string")
	}
	if _, found := conf["isGateway"]; !found && conf["type"] == "bridge" {
		conf["isGateway"] = true
	}
	conf["name"] = c.Name
	if c.CNIVersion != "" {
		conf["cniVersion"] = c.CNIVersion
	}
	if c.RuntimeConfig != nil {
		conf["runtimeConfig"] = c.RuntimeConfig
	}
	conf["ipam"] = c.ipam(lease)
	return conf, nil
}

func (c *config) ipam(lease *lease) object {
	ipam := object{"type": "host-local"}
	for key, value := range c.IPAM {
		ipam[key] = value
	}
	var ranges []any
	for _, subnet := range lease.subnets {
		ranges = append(ranges, []any{object{"subnet": subnet}})
	}
	ipam["ranges"] = ranges
	routes, _ := ipam["routes"].([]any)
	routes = slices.Clone(routes)
	for _, network := range lease.networks {
		routes = append(routes, object{"dst": network})
	}
	ipam["routes"] = routes
	return ipam
}

func (c *config) scratchFile(containerID string) string {
	return filepath.Join(c.DataDir, containerID)
}

func add(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	delegate, err := conf.delegateConfig()
	if err != nil {
		return err
	}
	bytes, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	// DEL must undo what ADD did, whatever has become of the lease by then.
	if err := os.MkdirAll(conf.DataDir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(conf.scratchFile(args.ContainerID), bytes, 0o600); err != nil {
		return err
	}
	result, err := invoke.DelegateAdd(context.Background(), delegate["type"].(string), bytes, nil)
	if err != nil {
		return fmt.Errorf("delegate %s: %w", delegate["type"], err)
	}
	return result.Print()
}

func del(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	scratch := conf.scratchFile(args.ContainerID)
	name, bytes, err := conf.storedDelegate(scratch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // ADD never came this far, or DEL has been here before.
	}
	if err != nil {
		return err
	}
	if err := invoke.DelegateDel(context.Background(), name, bytes, nil); err != nil {
		return fmt.Errorf("delegate %s: %w", name, err)
	}
	return os.Remove(scratch)
}

func check(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	name, bytes, err := conf.storedDelegate(conf.scratchFile(args.ContainerID))
	if err != nil {
		return err
	}
	return invoke.DelegateCheck(context.Background(), name, bytes, nil)
}

func status(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	if _, err := readSubnetFile(conf.SubnetFile); err != nil {
		return types.NewError(errPluginNotAvailable, "flannel has no subnet for this node yet", err.Error())
	}
	return nil
}

func gc(args *skel.CmdArgs) error {
	conf, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	inUse := map[string]bool{}
	for _, attachment := range conf.ValidAttachments {
		inUse[attachment.ContainerID] = true
	}
	entries, err := os.ReadDir(conf.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !inUse[entry.Name()] {
			if err := os.Remove(conf.scratchFile(entry.Name())); err != nil {
				return err
			}
		}
	}
	delegate, err := conf.delegateConfig()
	if err != nil {
		return err
	}
	delegate["cni.dev/valid-attachments"] = conf.ValidAttachments
	bytes, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	return invoke.DelegateGC(context.Background(), delegate["type"].(string), bytes, nil)
}

// storedDelegate is what ADD passed to the delegate, with the previous result
// that came with the present call.
func (c *config) storedDelegate(scratch string) (string, []byte, error) {
	bytes, err := os.ReadFile(scratch)
	if err != nil {
		return "", nil, err
	}
	stored := object{}
	if err := json.Unmarshal(bytes, &stored); err != nil {
		return "", nil, fmt.Errorf("%s: %w", scratch, err)
	}
	name, isString := stored["type"].(string)
	if !isString {
		return "", nil, fmt.Errorf("%s: no 'type'", scratch)
	}
	if len(c.PrevResult) > 0 {
		stored["prevResult"] = c.PrevResult
	}
	bytes, err = json.Marshal(stored)
	return name, bytes, err
}

func main() {
	functions := skel.CNIFuncs{Add: add, Del: del, Check: check, Status: status, GC: gc}
	skel.PluginMainFuncs(functions, version.All, buildversion.BuildString("flannel (test rig)"))
}

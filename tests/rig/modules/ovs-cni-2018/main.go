// Command ovs stands in for ovs-cni of September 2018: today's plugin, but a bridge may be a VLAN of another one, as
// `ovs-vsctl add-br blue100 blue 100` makes it. That day's plugin found those through ovs-vsctl; today's does not know them.
package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/containernetworking/plugins/pkg/utils/buildversion"
	"github.com/k8snetworkplumbingwg/ovs-cni/pkg/plugin"
)

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add:   onParent(plugin.CmdAdd),
		Check: onParent(plugin.CmdCheck),
		Del:   onParent(plugin.CmdDel),
	}, version.All, buildversion.BuildString("OVS bridge (test rig, 2018)"))
}

// onParent gives the plugin the bridge itself and the VLAN.
func onParent(run func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		conf := map[string]any{}
		if err := json.Unmarshal(args.StdinData, &conf); err != nil {
			return fmt.Errorf("cannot read the network configuration: %w", err)
		}
		bridge, _ := conf["bridge"].(string)
		vlan, err := strconv.Atoi(vsctl("br-to-vlan", bridge))
		if err != nil || vlan == 0 {
			return run(args)
		}
		conf["bridge"], conf["vlan"] = vsctl("br-to-parent", bridge), vlan
		data, err := json.Marshal(conf)
		if err != nil {
			return err
		}
		args.StdinData = data
		return run(args)
	}
}

// vsctl is empty where there is no such bridge.
func vsctl(command, bridge string) string {
	output, err := exec.Command("ovs-vsctl", "--timeout=10", command, bridge).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(output))
}

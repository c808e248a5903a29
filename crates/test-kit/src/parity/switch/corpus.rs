//! The command lines: all that kvnet and its tests run, and what lies around them.

use super::Story;

/// Names that the questions are asked about: real and VLAN bridges, ports, and what is not there.
const NAMES: [&str; 8] = ["blue", "blue100", "blue200", "red", "eth1", "veth1", "none", "''"];
/// Questions about one name.
const QUESTIONS: [&str; 14] = [
    "br-exists",
    "br-to-vlan",
    "br-to-parent",
    "list-ports",
    "list-ifaces",
    "port-to-br",
    "iface-to-br",
    "br-get-external-id",
    "get-fail-mode",
    "get Bridge",
    "list Port",
    "--if-exists del-port",
    "--columns=name,tag list Port",
    "--may-exist add-br",
];

/// A bridge of every sort, as kvnet makes them.
const SETTING: &str = "
--timeout=30 -- --may-exist add-br blue -- set bridge blue datapath_type=netdev -- br-set-external-id blue kvnet true
--timeout=30 -- --may-exist add-br blue100 blue 100 -- br-set-external-id blue100 kvnet true
--timeout=30 -- --may-exist add-br blue200 blue 200 -- br-set-external-id blue200 kvnet true
--timeout=30 -- --may-exist add-br red -- br-set-external-id red kvnet true
--timeout=30 -- --may-exist add-port blue eth1 -- set port eth1 external_ids:kvnet=true
-- --may-exist add-port blue veth1 tag=100 -- set Port veth1 external_ids:contPodUid=u external_ids:contIface=net1 trunks=7,9
";

const STEPS: &str = "
--timeout=10 --format=json -- --columns=name,ports,datapath_type,external_ids list Bridge -- --columns=_uuid,name,tag,trunks,fake_bridge,interfaces,external_ids list Port -- --columns=_uuid,name,type,error list Interface
--timeout=5 --real list-br
--timeout=5 --bare --columns=name find Bridge external_ids:kvnet=true
--timeout=10 --format=json --columns=statistics find Interface name=eth1
--timeout=10 --format=json --columns=statistics find Interface name=none
--bare --columns=name find Port external_ids:owner=ovs-cni.network.kubevirt.io
--bare --columns=name find Port external_ids:contPodUid=u external_ids:contIface=net1
--bare --columns=tag find Port external_ids:contPodUid=u
--bare --columns=external_ids list Port veth1
list-br
--fake list-br
--real list-br
br-to-parent blue100
br-to-vlan blue100
port-to-br veth1
port-to-br eth1
get port blue100 tag
get port veth1 tag
get port eth1 tag
--timeout=30 set port blue100 tag=101
--timeout=30 set port blue100 tag=100
--timeout=30 set bridge blue datapath_type=system
--timeout=30 set bridge blue datapath_type=netdev
get bridge blue datapath_type
br-get-external-id blue kvnet
br-get-external-id blue100 kvnet
br-get-external-id blue
br-get-external-id blue100
--timeout=30 --if-exists del-port blue eth1
--timeout=30 --if-exists del-port blue eth1
--timeout=30 --if-exists del-br blue100
--timeout=30 --if-exists del-br blue100
--timeout=30 --if-exists del-br blue
--timeout=30 --if-exists del-br blue
list-br
";

const BRIDGES: &str = "
list-br
show
br-exists blue
add-br blue
add-br blue
br-exists blue
--may-exist add-br blue
add-br blue100 blue 100
add-br blue100 blue 100
--may-exist add-br blue100 blue 100
--may-exist add-br blue100 blue 101
--may-exist add-br blue100 red 100
--may-exist add-br blue100
--may-exist add-br blue blue 5
add-br other blue 100
add-br other blue 4096
add-br other blue -1
add-br other blue abc
del-br other
add-br other blue
add-br other none 5
add-br other blue100 5
add-br blue0 blue 0
br-to-vlan blue0
br-to-vlan blue
br-to-parent blue
br-to-parent blue100
add-port blue eth1
add-br eth1
add-port blue blue100
add-port blue blue
add-br
add-br ''
add-br a b c d
add-br a/b
del-br a/b
del-br none
--if-exists del-br none
del-br blue100
list-br
del-br blue
list-br
add-br one -- add-br two -- add-br three one 3
list-br
add-br four -- add-br one
list-br
add-br five -- del-br five
list-br
del-br one -- add-br one
--fake list-br
--real --fake list-br
del-br one -- del-br two
list-br
";

const PORTS: &str = "
add-br blue
add-br blue100 blue 100
add-port blue eth1
add-port blue eth1
--may-exist add-port blue eth1
--may-exist add-port blue100 eth1
add-port blue100 eth2
get Port eth2 tag
list-ports blue
list-ports blue100
list-ifaces blue
list-ifaces blue100
port-to-br eth2
iface-to-br eth2
add-port blue veth1 tag=7
get Port veth1 tag
add-port blue veth2 tag=5000
add-port blue veth2 nothing=1
add-port blue veth2 tag
add-port none veth2
add-port blue veth2 -- set Interface veth2 type=internal
get Interface veth2 type
add-port blue veth3 trunks=1,2,3 vlan_mode=trunk
get Port veth3 trunks vlan_mode
add-port blue veth4 vlan_mode=nonsense
add-port blue ''
del-port eth1
del-port eth1
--if-exists del-port eth1
del-port blue eth2
--if-exists del-port blue100 eth2
del-port blue100 eth2
--if-exists del-port blue veth1
del-port none veth2
--with-iface del-port veth2
del-port blue
--if-exists del-port blue
del-port blue100
list-ports blue
add-br red
add-port red veth3
--may-exist add-port red veth3
--if-exists del-port red veth3
del-port blue veth3
";

const RECORDS: &str = "
add-br blue -- add-port blue eth1
get Bridge blue name
get bridge blue name
get Brid blue name
get B blue name
get Nothing blue name
get Bridge none name
--if-exists get Bridge none name
get Bridge blue nothing
get Bridge blue datap
get Bridge blue d
get Bridge blue name:key
get Bridge blue external_ids:key
--if-exists get Bridge blue external_ids:key
set Bridge blue external_ids:key=value
get Bridge blue external_ids:key
get Bridge blue external_ids
set Bridge blue external_ids:a=1 external_ids:b=2
get Bridge blue external_ids
set Bridge blue external_ids={x=1,y=2}
get Bridge blue external_ids
set Bridge blue external_ids:x='two words'
get Bridge blue external_ids:x
set Bridge blue external-ids:x=\"quoted\"
get Bridge blue external_ids
set Bridge none external_ids:a=b
--if-exists set Bridge none external_ids:a=b
set Bridge blue nothing=1
set Bridge blue name=red
set Bridge blue _uuid=1
set Bridge blue datapath_type
set Bridge blue datapath_type=
set Bridge blue datapath_type=\"\"
set Bridge blue datapath_type:x=1
set Bridge blue stp_enable=true
get Bridge blue stp_enable
set Bridge blue stp_enable=yes
set Bridge blue fail_mode=secure
get Bridge blue fail_mode
set Bridge blue fail_mode=nonsense
clear Bridge blue fail_mode
get Bridge blue fail_mode
get-fail-mode blue
set-fail-mode blue secure
get-fail-mode blue
set-fail-mode blue nonsense
del-fail-mode blue
get-fail-mode blue
set Port eth1 tag=5
get Port eth1 tag
set Port eth1 tag=[]
get Port eth1 tag
set Port eth1 tag=4095
set Port eth1 tag=4096
set Port eth1 tag=-1
set Port eth1 tag=abc
set Port eth1 tag=1,2
set Port eth1 trunks=3,1,2
get Port eth1 trunks
set Port eth1 trunks=[5,6]
add Port eth1 trunks 7 8
get Port eth1 trunks
add Port eth1 trunks 7
remove Port eth1 trunks 5 7
get Port eth1 trunks
remove Port eth1 trunks 99
clear Port eth1 trunks tag
get Port eth1 trunks tag
add Bridge blue external_ids c=3
add Bridge blue external_ids c=4
get Bridge blue external_ids
remove Bridge blue external_ids c=9
remove Bridge blue external_ids c
remove Bridge blue external_ids none
get Bridge blue external_ids
add Bridge blue name x
add Bridge blue fail_mode secure
remove Bridge blue name blue
remove Bridge blue fail_mode secure
clear Bridge blue name
clear Bridge blue external_ids
get Bridge blue external_ids
clear Bridge blue nothing
clear Port none tag
--if-exists clear Port none tag
get Port eth1 _uuid
get Port eth1 name tag
get Port eth1
get Interface eth1 type
set Interface eth1 type=internal
get Interface eth1 type
set Interface eth1 mtu_request=1400
get Interface eth1 mtu_request
set Interface eth1 mtu_request=10
br-set-external-id blue key value
br-get-external-id blue key
br-get-external-id blue
br-set-external-id blue key
br-get-external-id blue key
br-set-external-id none key value
br-get-external-id none
set Open_vSwitch . other_config:a=b
get Open_vSwitch . other_config
get Open_vSwitch . other_config:a
remove Open_vSwitch . other_config a
get Open_vSwitch none other_config
";

const PRINTED: &str = "
--columns=name list Bridge
--columns=name,fail_mode,external_ids list Bridge blue
--columns=name,tag,trunks list Port veth1
--columns=name list Bridge none
--if-exists --columns=name list Bridge none
--columns=nothing list Bridge
--columns= list Bridge
--columns=name,name list Bridge blue
--format=json --columns=name,external_ids list Bridge blue
--format=json --columns=name,tag,trunks,external_ids list Port veth1
--format=json --columns=name,tag list Port
--format=json --columns=name,fake_bridge list Port
--format=json --columns=_uuid,name list Interface
--format=json --columns=name find Port tag=100
--format=json --columns=name find Port tag=[]
--format=json find Bridge name=none
--format=json --columns=name find Bridge name=none
--format=json list-br
--format=csv --columns=name,tag list Port veth1
--format=table --columns=name,tag list Port veth1
--format=list --columns=name,tag list Port veth1
--format=nonsense list Port veth1
--bare --columns=name,tag list Port veth1
--bare --columns=external_ids list Port veth1
--bare --columns=trunks list Port veth1
--bare --columns=name list Port
--bare --columns=tag list Port eth1
--data=bare --columns=external_ids list Port veth1
--data=json --columns=external_ids list Port veth1
--data=string --columns=external_ids list Port veth1
--no-headings --format=csv --columns=name,tag list Port veth1
--no-headings --columns=name list Port veth1
--columns=name find Port tag=100
--columns=name find Port tag!=100
--columns=name find Port tag>=100
--columns=name find Port tag<150
--columns=name find Port trunks{>=}7
--columns=name find Port trunks{<=}7,9,11
--columns=name find Port trunks=7,9
--columns=name find Port external_ids:contIface=net1
--columns=name find Port external_ids:contIface!=net1
--columns=name find Port external_ids:none=x
--columns=name find Port external_ids={}
--columns=name find Port fake_bridge=true
--columns=name find Port fake_bridge=maybe
--columns=name find Port name
--columns=name find Port nothing=1
--columns=name find Nothing name=1
--columns=name find Bridge datapath_type=netdev external_ids:kvnet=true
--bare --columns=name find Interface type=internal
--oneline list-br
--oneline list-ports blue -- list-ports red
--oneline --columns=name list Bridge blue
";

const WORDS: &str = "
nonsense
''
add
list
list-br extra
br-exists
br-exists a b
--nonsense list-br
--may-exist list-br
--if-exists list-br
--columns=name list-br
list-br -- nonsense
list-br --
-- list-br
-- -- list-br
list-br -- -- list-br
--timeout=abc list-br
--timeout=0 list-br
--timeout list-br
-t 5 list-br
-t5 list-br
--time=5 list-br
--db
--real --real list-br
list-br -- --real list-br -- --fake list-br
-- --may-exist --may-exist add-br x
br-exists none -- list-br
list-br -- br-exists none
br-exists blue -- list-br
get Bridge blue name -- get Bridge none name
set Bridge blue external_ids:half=1 -- set Bridge none external_ids:half=1
get Bridge blue external_ids
set Bridge blue external_ids:half=1 -- set Port eth1 tag=9999
get Bridge blue external_ids
add-br new -- set bridge new datapath_type=netdev -- add-br new100 new 100 -- set Port new100 external_ids:a=b -- list-br
br-get-external-id new100
set bridge new external_ids:x=y -- get bridge new external_ids
comment a comment
init
show extra
--dry-run add-br dry
br-exists dry
";

/// All stories.
pub fn stories() -> Vec<Story> {
    let with_setting = |name: &'static str, text: &str| story(name, &format!("{SETTING}{text}"));
    vec![
        with_setting("steps", STEPS),
        story("bridges", BRIDGES),
        story("ports", PORTS),
        story("records", RECORDS),
        with_setting("printed", PRINTED),
        with_setting("words", WORDS),
        with_setting("questions", &questions()),
    ]
}

/// Every question about every name.
fn questions() -> String {
    let ask = |question: &&str| NAMES.map(|name| format!("{question} {name}\n")).concat();
    QUESTIONS.iter().map(ask).collect()
}

fn story(name: &'static str, text: &str) -> Story {
    Story { name, lines: text.lines().filter(|line| !line.is_empty()).map(words).collect() }
}

/// Words between blanks; `'…'` holds blanks, or nothing.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for character in line.chars() {
        match character {
            '\'' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

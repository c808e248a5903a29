//! kvnet on a node, as its user runs it.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use crate::networks::ports_of_ended_pods_go;
use crate::node::Node;
use crate::see;

/// Most nodes have no images of KubeVirt: everything else is checked there.
const WITHOUT_KUBEVIRT: [&str; 2] = ["--skip", "kubevirt,vm"];

/// The kubelet forgets a pod some seconds before the runtime has taken its NICs down.
const PORTS_ARE_PODS: &str = r#"
pods=$(kubectl get pods --all-namespaces -o jsonpath='{.items[*].metadata.annotations.k8s\.v1\.cni\.cncf\.io/networks}' | tr ' ' '\n' | grep -c ovs-blue || true)
ports=$(ovs-vsctl --bare --columns=name find Port external_ids:owner=ovs-cni.network.kubevirt.io | grep -c . || true)
[ "$pods" = "$ports" ]"#;

/// kvnet with the options of one story.
pub struct Kvnet<'a> {
    /// The node that it runs on.
    pub node: &'a Node,
    options: Vec<String>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl<'a> Kvnet<'a> {
    /// kvnet on a node without KubeVirt.
    pub fn new(node: &'a Node, options: &[&str]) -> Self {
        Self::whole(node, &[options, &WITHOUT_KUBEVIRT].concat())
    }

    /// kvnet with every step of the profile.
    pub fn whole(node: &'a Node, options: &[&str]) -> Self {
        Self { node, options: options.iter().map(ToString::to_string).collect() }
    }

    /// The whole command line, with the options of the story that the command has: `trace` has no `--skip`.
    pub fn argv<'b>(&'b self, arguments: &[&'b str]) -> Vec<&'b str> {
        let mut argv = vec!["kvnet"];
        argv.extend(arguments);
        let tree = kvnet::cli::command();
        let command = arguments.first().and_then(|name| tree.find_subcommand(name)).expect("a command");
        let is_known = |pair: &&[String]| {
            command.get_arguments().any(|option| option.get_long() == pair[0].strip_prefix("--"))
        };
        argv.extend(self.options.chunks(2).filter(is_known).flatten().map(String::as_str));
        argv
    }

    /// Runs it, whatever the exit code.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.node.run(&self.argv(arguments)).into()
    }

    /// Runs it; the exit code must be `code`.
    pub fn exits(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        let command = arguments.join(" ");
        assert_eq!(ran.code, Some(code), "kvnet {command}\n{}\n{}", ran.out, ran.err);
        self.node.say(&format!("kvnet {command}: exit code {code}{}", last_line(&ran)));
        ran
    }

    /// `up` to the end.
    pub fn up(&self) -> Ran {
        self.exits(0, &["up", "--yes"])
    }

    /// The changes that are planned: step and change, waits and checks left out.
    pub fn planned(&self) -> Vec<(String, Value)> {
        let ran = self.exits(3, &["plan", "-o", "json"]);
        let plan: Value = serde_json::from_str(&ran.out).expect("the plan is JSON");
        let steps = plan["steps"].as_array().expect("steps");
        let changes = steps.iter().flat_map(|step| {
            let id = step["step"].as_str().expect("an id").to_owned();
            step["changes"]
                .as_array()
                .expect("changes")
                .iter()
                .map(move |change| (id.clone(), change.clone()))
        });
        changes.filter(|(_, change)| change["change"] != "wait" && change["change"] != "verify").collect()
    }

    /// The lines that people see of what is planned.
    pub fn planned_lines(&self) -> Vec<String> {
        self.planned()
            .iter()
            .map(|(_, change)| change["summary"].as_str().expect("a summary").into())
            .collect()
    }

    /// `plan` shows exactly these changes, `up` makes them, and then nothing is left.
    pub fn corrects(&self, lines: &[&str]) {
        assert_eq!(self.planned_lines(), lines);
        let plan = self.exits(3, &["plan"]);
        for line in lines {
            assert!(plan.out.contains(line), "`{line}` is not in\n{}", plan.out);
        }
        self.up();
        self.has_nothing_to_do();
    }

    /// `plan`, `status` and `up` agree that all is in place, and `up` leaves everything alone.
    pub fn has_nothing_to_do(&self) {
        // Warnings stand before it.
        let plan = self.exits(0, &["plan"]).out;
        assert_eq!(plan.lines().last(), Some("nothing to do"), "{plan}");
        let status = self.exits(0, &["status"]).out;
        assert!(status.lines().all(|line| line.starts_with("in place") || line.starts_with(' ')), "{status}");
        self.node.until("the ports are those of the pods", PORTS_ARE_PODS);
        ports_of_ended_pods_go(self.node);
        let (before, mark) = (see::host(self.node), see::AuditMark::now(self.node));
        let up = self.up();
        assert!(up.err.contains("nothing to do ("), "{}", up.err);
        let requests = mark.requests(self.node);
        assert!(
            requests.iter().any(|request| request.verb == "get"),
            "no request of kvnet is in the audit log"
        );
        let writes: Vec<_> = requests.iter().filter(|request| request.writes()).collect();
        assert!(writes.is_empty(), "{writes:?}");
        before.must_equal(&see::host(self.node), &[]);
        self.node.say(&format!("up with nothing to do: {} requests, none of them writes", requests.len()));
    }

    /// The changes in the journal that were begun: step and change.
    pub fn journaled(&self) -> Vec<(String, Value)> {
        let journal = self.node.sh("cat /var/lib/kvnet/journal.jsonl");
        let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
        let intents = records.filter(|record| record["record"] == "intent");
        intents
            .map(|record| (record["step"].as_str().expect("a step").into(), record["change"].clone()))
            .collect()
    }
}

/// Changes as a set, without the line for people.
pub fn as_set(changes: &[(String, Value)]) -> BTreeSet<String> {
    let plain = |(step, change): &(String, Value)| {
        let mut change = change.clone();
        change.as_object_mut().expect("an object").remove("summary");
        format!("{step}: {change}")
    };
    changes.iter().map(plain).collect()
}

fn last_line(ran: &Ran) -> String {
    let line = ran.err.lines().last().or(ran.out.lines().last());
    line.map(|line| format!(" ({line})")).unwrap_or_default()
}

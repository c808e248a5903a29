//! The cluster's DNS.

use serde_json::Value;

use crate::cluster::{ObjectKey, is_ready, why_waiting};
use crate::error::{Result, code};
use crate::smoke::room::CaseContext;

const POD: &str = "resolver";
/// The label of the DNS server's pods, whichever server it is.
const SERVERS: &str = "k8s-app=kube-dns";

pub async fn run(ctx: &CaseContext) -> Result<()> {
    ctx.start(POD, &[]).await?;
    ctx.wait_for(POD, &is_ready).await?;
    let service = ObjectKey::new("v1", "Service", Some("default"), "kubernetes");
    let service = ctx.cluster.get(&service).await?.unwrap_or_default();
    let address = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let configuration = ctx.run(POD, &["cat", "/etc/resolv.conf"]).await?;
    let name = format!("kubernetes.default.svc.{}", domain(&configuration.stdout));
    let ran = ctx.run(POD, &["nslookup", &name]).await?;
    let holds = answers(&ran.stdout).any(|answer| answer == address);
    let mut detail = format!("{name} is {address}");
    if !holds {
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        let said =
            said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no answer").trim().to_owned();
        detail = format!("{name} should be {address}: {said}{}", servers(ctx).await?);
    }
    ctx.check("a pod resolves the name of the API server", (holds, detail), &code::SMOKE_DNS);
    Ok(())
}

/// The addresses in an answer, without the first one, which is the server's own.
fn answers(printed: &str) -> impl Iterator<Item = &str> {
    let address = |line: &'_ str| line.trim().starts_with("Address");
    printed
        .lines()
        .filter(move |line| address(line))
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
}

/// The cluster's domain: what follows `svc.` in a pod's search list.
fn domain(resolv_conf: &str) -> &str {
    let mut words =
        resolv_conf.lines().filter(|line| line.starts_with("search")).flat_map(str::split_whitespace);
    words.find_map(|word| word.strip_prefix("svc.")).unwrap_or("cluster.local")
}

/// What is wrong with the DNS servers; empty when they seem fine.
async fn servers(ctx: &CaseContext) -> Result<String> {
    let pods = ctx.cluster.list("v1", "Pod", Some("kube-system"), Some(SERVERS)).await?;
    if pods.is_empty() {
        return Ok("; the cluster has no DNS server pods".into());
    }
    let reason = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        why_waiting(pod).map(|reason| format!("; DNS server {name}: {reason}"))
    };
    Ok(pods.iter().find_map(reason).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\n\
        Name:\tkubernetes.default.svc.cluster.local\nAddress: 10.96.0.1\n\n";

    #[test]
    fn the_servers_own_address_is_not_an_answer() {
        assert_eq!(answers(PRINTED).collect::<Vec<_>>(), ["10.96.0.1"]);
        assert_eq!(answers(";; connection timed out; no servers could be reached\n").count(), 0);
    }

    #[test]
    fn the_domain_is_that_of_the_cluster() {
        assert_eq!(
            domain("search x.svc.lab.test svc.lab.test lab.test\nnameserver 10.96.0.10\n"),
            "lab.test"
        );
        assert_eq!(domain("nameserver 10.96.0.10\n"), "cluster.local");
    }
}

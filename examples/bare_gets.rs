//! Reads API paths from standard input and gets each, one after the other, over one connection: what the benchmark
//! compares a run that has nothing to do with.

use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = String::new();
    std::io::stdin().read_to_string(&mut paths)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = kube::Client::try_default().await?;
        for path in paths.lines() {
            client.request_text(http::Request::get(path).body(Vec::new())?).await?;
        }
        Ok(())
    })
}

//! The API server in memory, with what the suite needs of a new cluster.

use kvnet_sandbox::api::{ApiServer, Clock, KubernetesVersion};
use kvnet_sandbox::store::Store;
use serde_json::{Value, json};

use super::api::Chapter;
use super::send::{Server, chapter};

/// Some second of 2026: the clock stands still.
const NOW: u64 = 1_780_000_000;

/// The answers of the API server in memory to all chapters.
pub fn answers(release: KubernetesVersion, chapters: &[Chapter]) -> Vec<Vec<(String, Value)>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // Nothing happens by itself, so that watches need not last as long as they say.
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let mut all = Vec::new();
        for one in chapters {
            let store = Store::in_memory();
            let server = ApiServer::new(store.clone(), Clock::fixed(NOW), release);
            for name in ["default", "kube-system"] {
                let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                server.create("parity", &namespace).expect("a namespace");
            }
            let forget = || -> futures::future::BoxFuture<'_, ()> {
                store.forget();
                Box::pin(std::future::ready(()))
            };
            all.push(chapter(&Server { client: server.client(), forget: &forget }, &one.steps).await);
        }
        all
    })
}

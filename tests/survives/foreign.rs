//! What others use stays when `down` takes the rest.

use kvnet::host::{Command, Host};

use crate::survives::essence::{assert_same, essence};
use crate::survives::inside::{Inside, without_waiting};

async fn switch(host: &dyn Host, arguments: &[&str]) -> String {
    let words = ["ovs-vsctl", "--timeout=30"].iter().chain(arguments).copied();
    let command = Command::new(words);
    host.run(&command).await.unwrap().ok(&command).unwrap().stdout
}

#[test]
fn a_bridge_that_others_use_stays_with_their_ports_and_goes_once_they_are_gone() {
    without_waiting(async {
        let inside = Inside::new("default");
        let host = inside.sandbox.host();
        let undisturbed = Inside::new("default");
        assert!(undisturbed.up().await.error.is_none() && undisturbed.down().await.error.is_none());
        assert!(inside.up().await.error.is_none());
        let add = ["add-port", "blue", "theirs", "--", "set", "Interface", "theirs", "type=internal"];
        switch(host.as_ref(), &add).await;

        let down = inside.down().await;
        assert!(down.error.is_none(), "{down:?}");
        assert_eq!(switch(host.as_ref(), &["list-ports", "blue"]).await.trim(), "theirs");
        // Without its package the bridge would be gone all the same.
        assert!(host.find("ovs-vsctl").await.unwrap().is_some());
        assert!(!inside.journaled().is_empty(), "the next one knows nothing of the bridge");

        switch(host.as_ref(), &["del-port", "blue", "theirs"]).await;
        let down = inside.down().await;
        assert!(down.error.is_none() && down.changes > 0, "{down:?}");
        assert_eq!(inside.journaled(), Vec::<String>::new());
        assert_same(&essence(&undisturbed), &essence(&inside), "after the second one");
    });
}

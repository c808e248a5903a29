//! An API server whose certificate has expired: a real handshake, so that what kvnet looks for is what rustls says.
//!
//! The files in `tests/fixtures/expired` were made with openssl: an authority, and a certificate of it for 127.0.0.1 that
//! was valid in 2020.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use kvnet_test_kit::count;
use kvnet_test_kit::run::{As, Place, text};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/expired");

/// Serves nobody, because nobody accepts its certificate; returns its address.
fn serve() -> String {
    let certificate = CertificateDer::from_pem_file(format!("{FILES}/server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{FILES}/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            // The client ends it with an alert; what it would be answered is nothing that the test sees.
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            let _ = tls.read(&mut [0; 1]).and_then(|_| tls.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        }
    });
    address
}

#[test]
fn an_expired_certificate_is_told_at_once_with_what_to_do() {
    let place = Place::new();
    let server = serve();
    place.write(
        "k",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: c, cluster: {{server: '{server}', certificate-authority: '{FILES}/authority.crt'}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n\
             contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n"
        ),
    );
    for command in [&["plan"][..], &["up", "--yes"], &["status"], &["doctor"], &["down", "--yes"]] {
        let arguments = [command, &["--only", "networks", "--kubeconfig", "DIR/k"]].concat();
        let output = place.kvnet(As::Tester, &arguments, &[]);
        let err = text(&output.stderr) + &text(&output.stdout);
        assert_ne!(output.status.code(), Some(0), "{command:?}: {err}");
        for part in ["KVN301", &server, "expired"] {
            assert!(err.contains(part), "{command:?}: `{part}` is not in {err}");
        }
        if command[0] != "status" {
            assert!(err.contains("kubeadm certs renew all"), "{command:?}: {err}");
        }
        // An attempt more would be a pause of tenths of a second, six of them three seconds.
        assert!(!err.contains("cannot be reached"), "{command:?}: {err}");
    }
    count::record("API faults injected, lasting", 5);
}

//! Kubeconfigs as people have them: proxies, token files, credential plugins, and files that are none.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kvnet_test_kit::run::{As, Place, text};

/// However bad the kubeconfig, kvnet says so.
const SOON: Duration = Duration::from_secs(15);

/// Requests as an API server saw them, head for head.
type Seen = Arc<Mutex<Vec<String>>>;

/// An API server that refuses everybody and remembers whom.
fn api() -> (String, Seen) {
    let seen = Seen::default();
    let heads = Arc::clone(&seen);
    let address = listen(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
        heads.lock().unwrap().push(head);
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","message":"who are you","code":401}"#;
        answer(stream, "401 Unauthorized", body);
    });
    (address, seen)
}

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Copies both ways until one side ends.
fn relay(client: TcpStream, server: TcpStream) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut from, mut to) = (server, client);
    let _ = std::io::copy(&mut from, &mut to);
}

/// A proxy for CONNECT that leads everything to `target`, and remembers what it was asked.
fn connect_proxy(target: String) -> (String, Seen) {
    let seen = Seen::default();
    let heads = Arc::clone(&seen);
    let address = listen(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
        heads.lock().unwrap().push(head);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        relay(stream, TcpStream::connect(&target).unwrap());
    });
    (address, seen)
}

/// A SOCKS5 proxy that leads everything to `target`; wants a name and a password when `login` is set.
fn socks_proxy(target: String, login: Option<(&'static str, &'static str)>) -> (String, Seen) {
    let seen = Seen::default();
    let asked = Arc::clone(&seen);
    let address = listen(move |mut stream| {
        let mut read = |length: usize| {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        let Some(head) = read(2) else { return };
        let Some(methods) = read(head[1].into()) else { return };
        let method = if login.is_some() { 2 } else { 0 };
        assert!(methods.contains(&method), "{methods:?}");
        stream.write_all(&[5, method]).unwrap();
        let mut read = |length: usize| {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).unwrap();
            bytes
        };
        if let Some((name, password)) = login {
            let length = read(2)[1];
            let given = (read(length.into()), {
                let length = read(1)[0];
                read(length.into())
            });
            assert_eq!(given, (name.as_bytes().to_vec(), password.as_bytes().to_vec()));
            stream.write_all(&[1, 0]).unwrap();
        }
        let mut read = |length: usize| {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).unwrap();
            bytes
        };
        let kind = read(4)[3];
        let host = if kind == 3 {
            let length = read(1)[0];
            read(length.into())
        } else {
            read(4)
        };
        read(2);
        asked.lock().unwrap().push(String::from_utf8_lossy(&host).into_owned());
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).unwrap();
        relay(stream, TcpStream::connect(&target).unwrap());
    });
    (address, seen)
}

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: k, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {user}}}]\ncontexts: [{{name: here, context: {{cluster: k, user: u}}}}]\n"
    )
}

fn plan(place: &Place, more: &[&str], variables: &[(&str, &str)]) -> Output {
    let begin = Instant::now();
    let arguments = [&["plan", "--only", "taints", "--timeout", "2", "--kubeconfig", "DIR/k"], more].concat();
    let output = place.kvnet(As::Tester, &arguments, variables);
    assert!(begin.elapsed() < SOON, "it took {:?}", begin.elapsed());
    output
}

fn told(output: &Output) -> String {
    format!("{:?}\n{}\n{}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A thin container has no CA bundle; only a server whose certificate is to be verified by it needs one.
#[test]
fn a_machine_without_a_ca_bundle_is_fine_unless_it_is_needed() {
    let bare = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    for (cluster, code) in [
        ("server: 'http://127.0.0.1:1'", "KVN301"),
        ("server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true", "KVN301"),
        ("server: 'https://127.0.0.1:1'", "KVN300"),
    ] {
        let place = Place::new();
        place.write("k", &kubeconfig(cluster, "{token: t}"));
        let said = told(&plan(&place, &[], &bare));
        assert!(said.contains(code), "{cluster}: {said}");
    }
}

/// What `plan` says about such a kubeconfig; no canary is in it, as text and as JSON.
fn refused(cluster: &str, user: &str) -> String {
    let place = Place::new();
    place.write("k", &kubeconfig(cluster, user));
    place.write("blank", " \n");
    let json = told(&plan(&place, &["-o", "json"], &[]));
    let said = told(&plan(&place, &[], &[]));
    for said in [&json, &said] {
        for never in ["CANARY", "panicked", "unix_wait_status", "\u{1b}"] {
            assert!(!said.contains(never), "`{never}` in {said}");
        }
    }
    said
}

#[test]
fn a_proxy_of_the_kubeconfig_is_used() {
    let (api, asked) = api();
    for login in ["", "me:CANARY%40pw@"] {
        let (proxy, heads) = connect_proxy(api.clone());
        let place = Place::new();
        let cluster = format!("server: 'http://cluster.invalid:6443', proxy-url: 'http://{login}{proxy}'");
        place.write("k", &kubeconfig(&cluster, "{token: t0ken}"));
        let said = told(&plan(&place, &[], &[("NO_PROXY", "*")]));
        assert!(
            said.contains("KVN302") && said.contains("who are you") && !said.contains("CANARY"),
            "{said}"
        );
        let heads = heads.lock().unwrap();
        assert!(heads[0].starts_with("CONNECT cluster.invalid:6443 "), "{heads:?}");
        // me:CANARY@pw
        let authorization = "Basic bWU6Q0FOQVJZQHB3";
        assert_eq!(heads[0].contains(authorization), !login.is_empty(), "{heads:?}");
        assert!(asked.lock().unwrap().iter().any(|head| head.to_lowercase().contains("bearer t0ken")));
    }
    for (login, expected) in [("", None), ("me:pw@", Some(("me", "pw")))] {
        let (proxy, hosts) = socks_proxy(api.clone(), expected);
        let place = Place::new();
        let cluster = format!("server: 'http://cluster.invalid:6443', proxy-url: 'socks5://{login}{proxy}'");
        place.write("k", &kubeconfig(&cluster, "{token: t0ken}"));
        let said = told(&plan(&place, &[], &[]));
        assert!(said.contains("who are you"), "{said}");
        assert_eq!(hosts.lock().unwrap()[0], "cluster.invalid");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named_without_its_password() {
    for url in
        ["http://u:CANARY@127.0.0.1:1", "socks5://u:CANARY@127.0.0.1:1", "https://u:CANARY@127.0.0.1:1"]
    {
        let said = refused(&format!("server: 'https://127.0.0.1:2', proxy-url: '{url}'"), "{token: t}");
        assert!(
            said.contains("KVN301") && said.contains("through the proxy") && said.contains("127.0.0.1:1"),
            "{said}"
        );
    }
    let said = refused("server: 'https://127.0.0.1:2', proxy-url: 'ftp://u:CANARY@h'", "{token: t}");
    assert!(said.contains("KVN300") && said.contains("proxy-url"), "{said}");
}

#[test]
fn a_token_file_may_end_in_a_newline() {
    let (api, asked) = api();
    let place = Place::new();
    place.write("token", "abc\n\n");
    place.write("k", &kubeconfig(&format!("server: 'http://{api}'"), "{tokenFile: token}"));
    assert!(told(&plan(&place, &[], &[])).contains("who are you"));
    assert!(asked.lock().unwrap().iter().any(|head| head.to_lowercase().contains("bearer abc\r\n")));
}

#[test]
fn a_user_in_the_address_is_no_part_of_what_is_told() {
    let (api, asked) = api();
    let said = refused(&format!("server: 'http://me:CANARY@{api}'"), "{}");
    assert!(said.contains("who are you"), "{said}");
    assert!(asked.lock().unwrap().iter().any(|head| head.contains("Basic bWU6Q0FOQVJZ")));
    let said = refused("server: 'http://me:CANARY@127.0.0.1:99999'", "{token: t}");
    assert!(said.contains("KVN300") && said.contains("65535"), "{said}");
}

#[test]
fn no_token_makes_it_panic() {
    for token in ["\"CANARY\\n\"", "\"CANARY\\0\"", "\"CANARY\\e[2J\"", "\"CAN ARY\"", "CANARY\u{e9}"] {
        let said = refused("server: 'http://127.0.0.1:1'", &format!("{{token: {token}}}"));
        assert!(said.contains("KVN300"), "{token}: {said}");
    }
    let said = refused("server: 'http://127.0.0.1:1'", "{tokenFile: blank}");
    assert!(said.contains("KVN300") && said.contains("empty"), "{said}");
}

fn exec(command: &str, more: &str) -> String {
    format!("{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}, {more}}}}}")
}

#[test]
fn a_plugin_that_gives_nothing_is_explained() {
    let env = "env: [{name: VAULT_TOKEN, value: CANARY-ENV}]";
    let shell = |script: &str| exec("sh", &format!("args: ['-c', '{script}', CANARY-ARG], {env}"));
    for (user, says) in [
        (exec("no-such-login", "installHint: install the login helper"), "install the login helper"),
        (exec("no-such-login", env), "`no-such-login`"),
        (exec("/bin/false", "interactiveMode: Never"), "exit code 1"),
        (shell("echo log in first >&2; echo $VAULT_TOKEN $0; exit 3"), "log in first"),
        (shell("echo bad $VAULT_TOKEN and $0 >&2; exit 3"), "exit code 3"),
        (shell("echo CANARY-OUT"), "ExecCredential"),
        (exec("/tmp", "interactiveMode: Never"), "it is a directory"),
        (exec("cat", "args: [/dev/zero]"), "1 MiB"),
        (exec("sleep", "args: [\"60\"]"), "timed out after 2 s"),
        (shell("sleep 60"), "timed out after 2 s"),
        (exec("sh", "args: [-c, exit 1], interactiveMode: Always"), "no terminal"),
    ] {
        let said = refused("server: 'http://127.0.0.1:1'", &user);
        assert!(said.contains("error[KVN310]") && said.contains(says), "{user}: {said}");
    }
    let said =
        refused("server: 'http://127.0.0.1:1'", "{auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}}");
    assert!(said.contains("error[KVN311]") && said.contains("auth-provider"), "{said}");
}

#[test]
fn a_plugin_is_announced_and_run_once() {
    let (api, asked) = api();
    let place = Place::new();
    let script = "#!/bin/sh\necho run >> \"$(dirname \"$0\")/runs\"\necho '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {\"token\": \"from-plugin\"}}'\n";
    place.write("login", script);
    let login = place.path("login");
    fs::set_permissions(&login, fs::Permissions::from_mode(0o755)).unwrap();
    place.write(
        "k",
        &kubeconfig(&format!("server: 'http://{api}'"), &exec("./login", "interactiveMode: Never")),
    );
    let said = told(&plan(&place, &[], &[]));
    assert_eq!(said.matches("running the credential plugin `login` of the kubeconfig").count(), 1, "{said}");
    assert!(said.contains("who are you"), "{said}");
    assert!(asked.lock().unwrap().iter().any(|head| head.to_lowercase().contains("bearer from-plugin")));
    assert_eq!(fs::read_to_string(place.path("runs")).unwrap().lines().count(), 1);
}

#[test]
fn a_proxy_that_refuses_is_what_has_to_be_mended() {
    let proxy = listen(|mut stream| {
        let _ = stream.read(&mut [0; 8192]);
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    });
    let cluster = format!("server: 'https://cluster.invalid:6443', proxy-url: 'http://{proxy}'");
    let said = refused(&cluster, "{token: t}");
    assert!(said.contains("KVN302") && said.contains("the proxy refuses to connect"), "{said}");
    assert!(said.contains("NO_PROXY") && !said.contains("administrator"), "{said}");
    assert_eq!(said.matches("through the proxy").count(), 1, "{said}");
}

#[test]
fn a_plugin_with_an_old_credential_is_run_once_and_named() {
    let (api, _) = api();
    let place = Place::new();
    let script =
        "echo run >> DIR/runs; echo \"{status: {token: old, expirationTimestamp: 2020-01-01T00:00:00Z}}\"";
    let script = script.replace("DIR", place.path("").to_str().unwrap());
    let user = exec("sh", &format!("args: ['-c', '{script}'], interactiveMode: Never"));
    place.write("k", &kubeconfig(&format!("server: 'http://{api}'"), &user));
    let said = told(&plan(&place, &[], &[]));
    assert!(said.contains("KVN302") && said.contains("`sh` had already expired at 2020-01-01"), "{said}");
    assert_eq!(fs::read_to_string(place.path("runs")).unwrap().lines().count(), 1, "{said}");
}

#[test]
fn another_object_is_no_kubeconfig() {
    for (head, says) in [("kind: Pod", "its `kind` is Pod"), ("apiVersion: v2", "its `apiVersion` is v2")] {
        let place = Place::new();
        let text = kubeconfig("server: 'http://127.0.0.1:1'", "{token: t}");
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with(&head[..4])).collect();
        place.write("k", &format!("{head}\n{}\n", text.join("\n")));
        let said = told(&plan(&place, &[], &[]));
        assert!(said.contains("error[KVN300]") && said.contains(says), "{said}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let place = Place::new();
    let fifo = place.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    for path in ["DIR/fifo", "/dev/zero", "/proc/self/status", "DIR"] {
        let output = place.kvnet(As::Tester, &["plan", "--only", "taints", "--kubeconfig", path], &[]);
        let said = told(&output);
        assert!(said.contains("error[KVN300]") && said.contains("it is a"), "{path}: {said}");
    }
    let fifo = fifo.to_str().unwrap();
    for file in [fifo, "/dev/zero", "/proc/self/status"] {
        for (cluster, user) in [
            (
                format!("server: 'https://127.0.0.1:1', certificate-authority: {file}"),
                "{token: t}".to_owned(),
            ),
            (
                "server: 'https://127.0.0.1:1'".to_owned(),
                format!("{{client-certificate: {file}, client-key: {file}}}"),
            ),
            ("server: 'https://127.0.0.1:1'".to_owned(), format!("{{tokenFile: {file}}}")),
        ] {
            let said = refused(&cluster, &user);
            assert!(said.contains("error[KVN300]") && said.contains("it is a"), "{cluster} {user}: {said}");
        }
    }
    // Tab completion reads the same file.
    let begin = Instant::now();
    let words = ["--", "kvnet", "plan", "--context", ""];
    let variables = [("KVNET_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "3"), ("KUBECONFIG", fifo)];
    place.kvnet(As::Tester, &words, &variables);
    assert!(begin.elapsed() < SOON);
}

#[test]
fn an_answer_is_bounded() {
    let endless = listen(|mut stream| {
        let _ = stream.read(&mut [0; 8192]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\": \"");
        while stream.write_all(&[b'x'; 1 << 13]).is_ok() {}
    });
    let said = refused(&format!("server: 'http://{endless}'"), "{token: t}");
    assert!(said.contains("error[KVN307]") && said.contains("8 MiB"), "{said}");
    let wordy = listen(|mut stream| {
        let _ = stream.read(&mut [0; 8192]);
        let message = "no ".repeat(1_500_000);
        let body = format!(
            "{{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"{message}\"}}"
        );
        answer(stream, "403 Forbidden", &body);
    });
    let said = refused(&format!("server: 'http://{wordy}'"), "{token: t}");
    assert!(said.contains("error[KVN302]") && said.len() < 10_000, "{}", said.len());
}

#[test]
fn what_is_not_safe_is_said() {
    let said = refused("server: 'http://192.0.2.1:1'", "{token: t}");
    assert!(said.contains("warning: http://192.0.2.1:1 is plain http"), "{said}");
    let said = refused("server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true", "{token: t}");
    assert!(said.contains("warning: ") && said.contains("insecure-skip-tls-verify"), "{said}");
    let said = refused("server: 'http://127.0.0.1:1'", "{token: t}");
    assert!(!said.contains("warning: "), "{said}");
}

#[test]
fn a_name_that_leads_elsewhere_is_a_usage_error() {
    for namespace in ["../kube-system", "a b", "a\u{1b}[2J", "..", "a%2fb", ""] {
        let place = Place::new();
        let output = place.kvnet(As::Tester, &["trace", "pod/x", "--sandbox", "-n", namespace], &[]);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{namespace:?}: {said}");
        assert!(said.contains("error[KVN") && !said.contains("KVN505"), "{namespace:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

#[test]
fn a_plugin_of_a_kubeconfig_that_others_can_write_is_not_run_as_root() {
    if !kvnet_test_kit::run::is_root() {
        return;
    }
    let place = Place::new();
    place.write(
        "k",
        &kubeconfig("server: 'http://127.0.0.1:1'", &exec("touch", "args: [DIR/ran]"))
            .replace("DIR", place.path("").to_str().unwrap()),
    );
    fs::set_permissions(place.path("k"), fs::Permissions::from_mode(0o646)).unwrap();
    let output = place.kvnet(As::Tester, &["plan", "--only", "taints", "--kubeconfig", "DIR/k"], &[]);
    let said = told(&output);
    assert!(said.contains("error[KVN313]") && said.contains("0646"), "{said}");
    assert!(!place.path("ran").exists());
}

/// kubectl has no cluster then, whatever is in ~/.kube/config.
#[test]
fn a_list_of_no_files_and_a_kubeconfig_of_nothing_say_what_to_do() {
    let place = Place::new();
    fs::create_dir(place.path(".kube")).unwrap();
    place.kubeconfig(".kube/config", "http://127.0.0.1:1");
    place.write("empty", "");
    place.write("nothing", "{}\n");
    let said = |list: &str| {
        let arguments = ["plan", "--only", "taints", "--timeout", "1"];
        told(&place.kvnet(As::Tester, &arguments, &[("KUBECONFIG", list)]))
    };
    assert!(said("").contains("KVN301"), "the default is taken: {}", said(""));
    for (list, what, hint) in [
        (":", "KUBECONFIG names no file", "unset it"),
        ("::", "KUBECONFIG names no file", "unset it"),
        (" ", "KUBECONFIG names no file", "unset it"),
        ("DIR/none:DIR/none2", "no such file", "--kubeconfig FILE"),
        ("DIR/empty", "it is empty", "--kubeconfig FILE"),
        ("DIR/nothing", "it is empty", "--kubeconfig FILE"),
    ] {
        let said = said(list);
        let hints = said.lines().filter(|line| line.contains("hint:")).collect::<String>();
        assert!(said.contains("error[KVN300]") && said.contains(what), "{list:?}: {said}");
        assert!(hints.contains(hint) && !hints.contains("none"), "{list:?}: {said}");
    }
}
